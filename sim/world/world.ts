/** Everything of one simulated group: clock, network, disks, agents, and what was seen of it. */
import type { Decision, DecisionInput } from '../../src/group/decide/context.ts';
import { decideGroup } from '../../src/group/decide/decide.ts';
import type { Goal, GroupRecord, GroupSpec } from '../../src/group/model.ts';
import { Invariants } from '../check/invariants.ts';
import { Clock } from '../kernel/clock.ts';
import type { SimProcess } from '../kernel/process.ts';
import { Prng } from '../kernel/prng.ts';
import { ModelAgent } from '../model/agent.ts';
import { Disks } from './disks.ts';
import { Network } from './network.ts';
import type { RaftDisk } from './raft.ts';
import { Store } from './store.ts';
import { ALL_RULES, type Rules } from './switches.ts';
import type { Topology } from './topology.ts';

/** Where clients live that share no host with anybody. */
export const CLIENT_HOST = 'c1';

/** An agent that has just been started, or let go on, needs this long to see its members and act, ms. */
const ATTENTIVE_MS = 500;

export interface WorldOptions {
  seed: number;
  rules?: Partial<Rules>;
  /** Wraps the decision, to take something out of it. */
  decide?: (input: DecisionInput) => Decision;
  /** Lines of the story; null: nobody listens. */
  trace?: ((line: string) => void) | null;
}

/** Called where a step begins, so that faults can strike in the middle of it. */
export type Hazard = (agent: SimProcess, member: string, step: { do: string; as?: 'primary' | 'standby' }) => void;

export class World {
  readonly group = 'main';
  readonly clock = new Clock();
  readonly random: Prng;
  readonly rules: Rules;
  readonly hosts: readonly string[];
  /** Hosts whose agents vote on the cluster's state; one of them decides. */
  readonly voters: readonly string[];
  readonly network: Network;
  readonly disks = new Disks();
  readonly invariants: Invariants;
  readonly store: Store;
  readonly decide: (input: DecisionInput) => Decision;
  readonly agents = new Map<string, ModelAgent>();
  readonly raftDisks = new Map<string, RaftDisk>();
  readonly addresses: Record<string, string>;
  readonly shares: Record<string, number> = {};
  /** Members whose process can't start, and whose copies fail. */
  readonly startsFail = new Set<string>();
  readonly copiesFail = new Set<string>();
  /** Members without room for WAL. */
  readonly disksFull = new Set<string>();
  /** Hosts that are off, and hosts whose disks take their time. */
  readonly off = new Set<string>();
  readonly slow = new Set<string>();
  hazard: Hazard = () => {};
  /** False from when on nothing goes wrong any more. */
  troubled = true;
  /** Called when a record is decided, before anybody obeys it. */
  onRecord: (record: GroupRecord) => void = () => {};
  readonly #trace: ((line: string) => void) | null;
  #pids = 0;
  #operations = 0;
  #orders = 0;

  constructor(options: WorldOptions, { spec, hosts, voters }: Topology) {
    this.random = new Prng(options.seed, 'world');
    this.rules = { ...ALL_RULES, ...options.rules };
    this.hosts = hosts;
    this.voters = voters;
    this.addresses = Object.fromEntries(hosts.map((host) => [host, '127.0.0.1']));
    this.network = new Network(this.clock, new Prng(options.seed, 'network'));
    this.decide = options.decide ?? decideGroup;
    this.#trace = options.trace ?? null;
    this.store = new Store(spec, (record) => {
      this.invariants.recordWritten(record);
      this.onRecord(record);
      this.trace(() => `record: term ${record.term}, primary ${record.primary}, promotion ${JSON.stringify(record.promotion)}, operation ${JSON.stringify(record.operation)}, voters ${record.voters.join()}${record.voterChange === null ? '' : ` -> ${record.voterChange.to.join()} at ${record.voterChange.lsn}`}, ${Object.values(record.members).map((one) => `${one.name}:${one.goal.kind}/${one.incarnation}/${one.restarts}${one.joined ? '' : '?'}`).join(' ')}`);
    });
    this.invariants = new Invariants(this);
    const { documents } = this.store;
    for (const host of hosts) this.raftDisks.set(host, { term: 0, vote: null, last: { term: 0, index: 0, documents }, committed: documents, committedDurably: documents });
    for (const host of hosts) this.startAgent(host);
  }

  trace(line: () => string): void {
    this.#trace?.(`${(this.clock.now / 1000).toFixed(3).padStart(9)} ${line()}`);
  }

  get spec(): GroupSpec {
    return this.store.documents.spec.value;
  }

  nextPid(): number {
    return ++this.#pids;
  }

  nextOperation(): number {
    return ++this.#operations;
  }

  /** Of messages that must not overtake each other. */
  nextOrder(): number {
    return ++this.#orders;
  }

  /** ms that an fsync takes. */
  fsyncMs(host: string): number {
    return this.slow.has(host) ? this.random.int(50, 600) : this.random.int(1, 3);
  }

  /** The host's agent lives, and has had the time to look around since it began or went on. */
  attended(host: string): boolean {
    return (this.agents.get(host)?.process.attentiveFor() ?? 0) > ATTENTIVE_MS;
  }

  /** The record as the host's agent knows it. */
  viewOf(host: string): GroupRecord | null {
    return this.agents.get(host)?.view.record?.value ?? null;
  }

  /** What the member's agent is told to do with it, as far as it knows. */
  goalOf(member: string): Goal['kind'] | null {
    for (const agent of this.agents.values()) {
      const runner = agent.runners.get(member);
      if (runner !== undefined) return runner.orders.goal.kind;
    }
    return null;
  }

  /** The agent that may decide now, if any. */
  leader(): ModelAgent | undefined {
    return [...this.agents.values()].find((agent) => agent.process.alive && !agent.process.frozen && agent.raft.self());
  }

  /** Starts a host's agent where none lives and the host has power. */
  startAgent(host: string): void {
    if (this.off.has(host) || this.agents.get(host)?.process.alive) return;
    const agent = new ModelAgent(this, host);
    this.agents.set(host, agent);
    agent.start();
  }
}
