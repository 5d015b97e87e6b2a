/** One host's agent: its part in the consensus, the runners of its members, its reports and its lease; a decider while it leads. */
import { leaseMs } from '../../src/group/decide/context.ts';
import type { GroupRecord, GroupSpec, MemberRecord, OperateRequest } from '../../src/group/model.ts';
import type { Orders } from '../../src/group/member/member.ts';
import type { Engine } from '../../src/engine/find.ts';
import { PgorbitError } from '../../src/errors.ts';
import { SimBell, SimProcess, sleep, waitFor, type Work } from '../kernel/process.ts';
import { RaftNode } from '../world/raft.ts';
import { writeSpec } from '../world/store.ts';
import type { World } from '../world/world.ts';
import { ModelDecider } from './decider.ts';
import { LoggerRunner } from './logger-runner.ts';
import { MemberRunner } from './runner.ts';

/** Nothing here runs it. */
const ENGINE: Engine = { major: 18, version: '18.0', bin: '/nowhere', source: 'folder', tools: new Set() };

/** As src/agent/reporter.ts and src/agent/agent.ts have them. */
const HEARTBEAT_MS = 1_000;
const LEASED_MS = 400;
const REFUSED_MS = 100;
/** How late the real agent's timers may be. */
const LEASE_LATE_MS = 100;

export class ModelAgent {
  readonly world: World;
  readonly host: string;
  readonly process: SimProcess;
  readonly raft: RaftNode;
  readonly decider: ModelDecider;
  readonly runners = new Map<string, MemberRunner | LoggerRunner>();
  readonly #reportBell = new SimBell();
  #takenAt = -Infinity;
  readonly #began: number;
  #refused = false;
  #wasLeased = false;
  #watching = false;

  constructor(world: World, host: string) {
    this.world = world;
    this.host = host;
    this.#began = world.clock.now;
    this.process = new SimProcess(world.clock, host);
    this.raft = new RaftNode(world, host, this.process, world.raftDisks.get(host)!, () => this.#learned());
    this.decider = new ModelDecider(world, this);
  }

  start(): void {
    this.#update();
    this.raft.start();
    this.decider.start();
    this.process.run(this.#reporting());
  }

  /** The newest state that it knows to be committed. */
  get view(): RaftNode['committed'] {
    return this.raft.committed;
  }

  /** It may believe that nobody else was promoted: src/agent/members.ts. */
  leased(): boolean {
    return !this.world.rules.lease || this.world.clock.now - this.#takenAt < leaseMs(this.view.spec.value);
  }

  /** Likewise. */
  justBegun(): boolean {
    return this.#takenAt === -Infinity && this.world.clock.now - this.#began < leaseMs(this.view.spec.value);
  }

  /** Writes a person's request into the record, as Decider.operate does. */
  *operate(request: OperateRequest): Work {
    try {
      yield* this.decider.operate(request);
    } catch (error) {
      if (!(error instanceof PgorbitError)) throw error;
      this.world.trace(() => `refused: ${request.kind}: ${error.message}`);
    }
  }

  *apply(edit: (spec: GroupSpec) => GroupSpec): Work {
    yield* this.raft.write(writeSpec(edit));
  }

  #learned(): void {
    this.#update();
    this.decider.soon();
  }

  #update(): void {
    const { record, spec } = this.view;
    const wanted = new Set<string>();
    for (const member of Object.values(record?.value.members ?? {})) {
      if (member.host !== this.host) continue;
      wanted.add(member.name);
      this.#obey(member, record!.value, spec.value);
    }
    for (const [name, runner] of this.runners) {
      if (wanted.has(name)) continue;
      this.runners.delete(name);
      runner.end();
    }
  }

  #obey(member: MemberRecord, record: GroupRecord, spec: GroupSpec): void {
    const orders: Orders = { goal: member.goal, term: record.term, record: member, spec, systemIdentifier: record.systemIdentifier, addresses: [], engine: ENGINE };
    const running = this.runners.get(member.name);
    // A namesake may have come, with data where there was only WAL or the other way round.
    if (running !== undefined && (!this.world.rules.runnerByRole || running instanceof LoggerRunner === (member.role === 'logger'))) {
      running.obey(orders);
      return;
    }
    running?.end();
    const publish = (): void => this.#reportBell.ring();
    const runner = member.role === 'logger' ? new LoggerRunner(this, orders, publish) : new MemberRunner(this, orders, publish);
    this.runners.set(member.name, runner);
    runner.start();
  }

  // ------------------------------------------------------------------ reports and the lease

  /** A member here lives by the lease. */
  get #leases(): boolean {
    const { record, spec } = this.view;
    const holder = record?.value.members[record.value.primary ?? record.value.promotion?.candidate ?? ''];
    return holder?.host === this.host && spec.value.storage === 'local';
  }

  *#reporting(): Work {
    for (;;) {
      this.#report();
      yield* waitFor(this.#reportBell, this.#leases ? LEASED_MS : HEARTBEAT_MS);
      if (!this.#refused) continue;
      this.#refused = false;
      yield* sleep(REFUSED_MS);
    }
  }

  #report(): void {
    const { world, host } = this;
    const { leader } = this.raft;
    if (leader === null) return;
    const sentAt = world.clock.now;
    const order = world.nextOrder();
    const reports = [...this.runners.values()].map((runner) => runner.report());
    world.network.datagram(host, leader, () => {
      const other = world.agents.get(leader);
      other?.process.deliver(() => {
        const known = other.raft.self();
        if (known) other.decider.take(host, order, reports);
        world.network.datagram(leader, host, () => this.process.deliver(() => this.#answered(sentAt, known)));
      });
    });
  }

  #answered(sentAt: number, known: boolean): void {
    if (known) {
      this.#takenAt = Math.max(this.#takenAt, sentAt);
      this.#watchLease();
    } else {
      this.#refused = true;
      this.#reportBell.ring();
    }
  }

  /**
   * Members act on the end of the lease at once, not at their next round. As the real agent it sleeps until
   * then, and may wake late.
   */
  #watchLease(): void {
    if (this.#watching || !this.world.rules.lease) return;
    this.#watching = true;
    const { random, clock } = this.world;
    const end = this.#wasLeased ? this.#takenAt + leaseMs(this.view.spec.value) : clock.now;
    this.process.after(end - clock.now + random.int(0, LEASE_LATE_MS), this.#lookAtLease);
  }

  readonly #lookAtLease = (): void => {
    this.#watching = false;
    const leased = this.leased();
    if (leased !== this.#wasLeased) {
      this.#wasLeased = leased;
      for (const runner of this.runners.values()) runner.look();
    }
    if (leased) this.#watchLease();
  };
}
