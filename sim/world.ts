/** Everything of one simulated group: clock, volume, agents, store, and what was seen of it. */
import type { Decision, DecisionInput } from '../src/group/decide/context.ts';
import { decideGroup } from '../src/group/decide/decide.ts';
import type { Goal, GroupSpec, MemberReport } from '../src/group/model.ts';
import type { Step } from '../src/group/member/next-step.ts';
import { Clock } from './clock.ts';
import { Invariants } from './invariants.ts';
import { ModelAgent } from './model-agent.ts';
import { ModelStore, type Documents } from './model-store.ts';
import { ModelVolume } from './model-volume.ts';
import type { SimProcess } from './process.ts';
import { Prng } from './prng.ts';
import { ALL_RULES, type Rules } from './switches.ts';

export const HOSTS = ['h1', 'h2', 'h3'];

export interface WorldOptions {
  seed: number;
  rules?: Partial<Rules>;
  /** Hosts that decide; the first one keeps the store. */
  deciders?: string[];
  /** Wraps the decision, to take something out of it. */
  decide?: (input: DecisionInput) => Decision;
  /** Lines of the story; null: nobody listens. */
  trace?: ((line: string) => void) | null;
}

/** What a member keeps outside the volume. */
interface Home {
  runtime: { restarts: number; incarnation: number };
  /** Whose pg_wal the restore script reads. */
  restoreFrom: string | null;
}

export class World {
  readonly group = 'main';
  readonly clock = new Clock();
  readonly random: Prng;
  readonly rules: Rules;
  readonly volume = new ModelVolume();
  readonly invariants: Invariants;
  readonly store: ModelStore;
  readonly deciders: readonly string[];
  readonly decide: (input: DecisionInput) => Decision;
  readonly agents = new Map<string, ModelAgent>();
  /** What each agent's cache file holds. */
  readonly caches = new Map<string, Documents>();
  readonly homes = new Map<string, Home>();
  readonly addresses = Object.fromEntries(HOSTS.map((host) => [host, '127.0.0.1']));
  readonly shares: Record<string, number> = {};
  /** Hosts that are cut off from the store and the deciders. */
  readonly cut = new Set<string>();
  /** Members whose postgres can't start, and whose clones fail. */
  readonly startsFail = new Set<string>();
  readonly clonesFail = new Set<string>();
  /** How reports fare: the share that is lost, late or doubled. */
  troubledReports = 0;
  /** Called where a step begins, so that faults can strike in the middle of it. */
  hazard: (agent: SimProcess, member: string, step: Step) => void = () => {};
  readonly #trace: ((line: string) => void) | null;
  #pids = 0;
  #operations = 0;

  constructor(options: WorldOptions, spec: GroupSpec) {
    this.random = new Prng(options.seed, 'world');
    this.rules = { ...ALL_RULES, ...options.rules };
    this.deciders = options.deciders ?? ['h1'];
    this.decide = options.decide ?? decideGroup;
    this.#trace = options.trace ?? null;
    this.invariants = new Invariants(this);
    this.store = new ModelStore(spec, {
      compare: this.rules.compareAndSet,
      check: (record) => {
        this.invariants.recordWritten(record);
        this.trace(() => `record: term ${record.term}, primary ${record.primary}, promotion ${JSON.stringify(record.promotion)}, operation ${JSON.stringify(record.operation)}, ${Object.values(record.members).map((one) => `${one.name}:${one.goal.kind}/${one.incarnation}/${one.restarts}${one.joined ? '' : '?'}`).join(' ')}`);
      },
    });
    this.store.onChange.push(() => {
      for (const agent of this.agents.values()) agent.storeChanged();
    });
    for (const host of HOSTS) this.startAgent(host);
  }

  trace(line: () => string): void {
    this.#trace?.(`${(this.clock.now / 1000).toFixed(3).padStart(9)} ${line()}`);
  }

  nextPid(): number {
    return ++this.#pids;
  }

  nextOperation(): number {
    return ++this.#operations;
  }

  home(member: string): Home {
    const home = this.homes.get(member) ?? { runtime: { restarts: 0, incarnation: 0 }, restoreFrom: null };
    this.homes.set(member, home);
    return home;
  }

  /** What the member's agent is told to do with it, as far as it knows. */
  goalOf(member: string): Goal['kind'] | null {
    for (const agent of this.agents.values()) {
      const runner = agent.runners.get(member);
      if (runner !== undefined) return runner.member.orders.goal.kind;
    }
    return null;
  }

  isStoreHost(host: string): boolean {
    return host === this.deciders[0];
  }

  /** Starts a host's agent where none lives. */
  startAgent(host: string): void {
    if (this.agents.get(host)?.process.alive) return;
    const known = this.isStoreHost(host) ? this.store.documents : (this.caches.get(host) ?? { ...this.store.documents, revision: 0, record: null });
    const agent = new ModelAgent(this, host, known);
    this.agents.set(host, agent);
    agent.start();
  }

  /** True while the host's agent can reach the store, which lives in the first decider's agent. */
  linked(host: string): boolean {
    if (this.isStoreHost(host)) return true;
    const keeper = this.agents.get(this.deciders[0] ?? '');
    return !this.cut.has(host) && keeper !== undefined && keeper.process.alive && !keeper.process.frozen;
  }

  /** @returns false where no answer will come. */
  sendReports(from: string, to: string, reports: readonly MemberReport[]): boolean {
    const arrive = (): void => {
      const agent = this.agents.get(to);
      agent?.process.deliver(() => agent.decider?.take(reports));
    };
    if (from === to) {
      arrive();
      return true;
    }
    const troubled = this.random.chance(this.troubledReports);
    if (!this.linked(from) || (troubled && this.random.chance(0.5))) return false;
    this.clock.after(troubled ? this.random.int(100, 4_000) : this.random.int(1, 15), arrive);
    if (troubled && this.random.chance(0.3)) this.clock.after(this.random.int(10, 6_000), arrive);
    return true;
  }
}
