/** src/group/member/member.ts of the model: one member on its host, its folder, its postmaster. */
import { NOBODY } from '../../src/group/member/configuration.ts';
import type { Orders } from '../../src/group/member/member.ts';
import type { Facts } from '../../src/group/member/next-step.ts';
import type { Observation } from '../../src/group/member/observe.ts';
import { sameSlots } from '../../src/group/member/slots.ts';
import type { Goal, TimelineBegin } from '../../src/group/model.ts';
import { sleep, type SimSignal, SimBell, type Work } from '../kernel/process.ts';
import { StepError } from '../kernel/violation.ts';
import type { Data, Folder, Home } from '../world/disks.ts';
import type { World } from '../world/world.ts';
import type { ModelAgent } from './agent.ts';
import { observe } from './observe.ts';
import { ModelPostgres, NO_CONF, type Conf } from './postgres.ts';
import { historyOf, positionOnDisk } from './wal.ts';

const FAST_STOP_MS = 60_000;

export type MemberFacts = Facts & { systemIdentifier: string | null };

export class ModelMember {
  readonly world: World;
  readonly agent: ModelAgent;
  readonly name: string;
  orders: Orders;
  postmaster: ModelPostgres | null = null;
  observation: Observation | null = null;
  step: string | null = null;
  stopping = false;
  checkpointedFor: string | null = null;
  rewindFailedFor = 0;
  history: { timeline: number; begins: TimelineBegin[] } | null = null;
  readonly #wake: () => void;
  readonly #progressed: () => void;
  #configuredAs: string | null = null;
  #swept = false;
  #reloadedFor = -1;

  constructor(agent: ModelAgent, name: string, orders: Orders, wake: () => void, progressed: () => void) {
    this.world = agent.world;
    this.agent = agent;
    this.name = name;
    this.orders = orders;
    this.#wake = wake;
    this.#progressed = progressed;
  }

  /** What is in the place of its files is a namesake's. */
  removed = false;

  nowDoing(step: string | null): void {
    this.step = step;
    this.#progressed();
  }

  get folder(): Folder | undefined {
    if (this.removed) return undefined;
    return this.world.disks.folderOf(this.name, this.isLocal ? this.agent.host : null);
  }

  get home(): Home {
    return this.world.disks.home(this.name, this.agent.host);
  }

  get isLocal(): boolean {
    return this.orders.spec.storage === 'local';
  }

  /** The member's data directory. @throws where there is none. */
  data(): Data {
    const data = this.folder?.data;
    if (!data) throw new StepError('internal', `${this.name} has no data directory`);
    return data;
  }

  /** The postgres behind the agent's connection. @throws where nothing answers. */
  sql(): ModelPostgres {
    const server = this.postmaster;
    if (server === null || !server.answers) throw new StepError('postgres-failed', `${this.name} does not answer`);
    return server;
  }

  /** A moment that passes between two system calls, or a network round trip: anything may happen in it. */
  *pause(most = 4): Work {
    yield* sleep(this.world.random.int(0, most));
  }

  // ------------------------------------------------------------------ looking

  adopt(): void {
    if (this.postmaster !== null) return;
    const found = this.world.disks.serverIn(this.folder);
    if (found instanceof ModelPostgres && found.phase !== 'booting') this.#watch(found, true);
  }

  /** What an agent that was killed had just started, too. */
  #sweep(): void {
    const left = this.#swept ? undefined : this.world.disks.serverIn(this.folder);
    this.#swept = true;
    if (left?.host === this.agent.host) left.kill();
  }

  *facts(): Work<MemberFacts> {
    this.removed &&= this.orders.goal.kind === 'remove';
    this.adopt();
    if (this.postmaster === null) this.#sweep();
    yield* this.pause(2);
    const { folder, world, home } = this;
    const whole = folder !== undefined && folder.data !== null && folder.marker.member === this.name && folder.marker.incarnation > 0 ? { ...folder.marker, data: folder.data } : null;
    const process = yield* this.#look();
    const { runtime } = home;
    const { goal, record } = this.orders;
    const { observation } = this;
    const aside = goal.kind === 'remove' && !this.removed && world.disks.hasAside(this.name, this.isLocal ? this.agent.host : null);
    this.removed ||= world.rules.removeOnce && goal.kind === 'remove' && folder === undefined && !aside && process === 'none';
    return {
      data: whole === null ? null : {
        incarnation: whole.incarnation, term: whole.term, standbySignal: whole.data.standbySignal,
        cleanStop: process === 'none' ? whole.data.clean : null,
      },
      stoppedAt: process === 'none' && whole !== null && goal.kind === 'stop' && whole.data.clean && !whole.data.standbySignal ? positionOnDisk(whole.data.wal) : null,
      debris: folder !== undefined && whole === null,
      aside,
      fencedTerm: world.rules.fenceMark ? (this.folder?.fenced ?? null) : null,
      process,
      inRecovery: observation?.inRecovery ?? null,
      startedFor: whole !== null && runtime.incarnation === whole.incarnation ? runtime.restarts : 0,
      configured: process === 'ready' && this.#reloadedFor === record.reloads && this.#configuredAs === this.configuration(),
      accounts: whole?.data.accounts ?? false,
      slots: observation !== null && sameSlots(observation.slots, goal.kind === 'primary' || goal.kind === 'follow' ? (goal.slots ?? []) : []),
      sessions: observation?.sessions ?? null,
      checkpointed: this.checkpointedFor === this.checkpointKey(),
      promisedTerm: home.promised.term,
      promised: home.promised.position === null ? null : { term: home.promised.term, ...home.promised.position },
      current: !world.rules.current || this.agent.raft.current,
      leased: !this.#needsLease || this.agent.leased(),
      mayGoOn: !this.#needsLease || this.agent.leased() || this.agent.justBegun(),
      promotionAsked: this.postmaster?.promotionAsked ?? false,
      rewindFailed: this.rewindFailedFor === record.incarnation,
      systemIdentifier: observation?.systemIdentifier ?? null,
    };
  }

  checkpointKey(): string {
    return `${this.orders.term}:${this.orders.record.restarts}`;
  }

  *#look(): Work<Facts['process']> {
    if (this.postmaster === null) {
      this.observation = null;
      return 'none';
    }
    if (this.stopping) return 'stopping';
    yield* this.pause();
    const server = this.postmaster as ModelPostgres | null;
    this.observation = server?.answers ? observe(server) : null;
    if (server?.open && this.history?.timeline !== this.observation?.timeline && this.observation !== null) {
      const { timeline } = this.observation;
      this.history = { timeline, begins: historyOf(server.data.wal) };
    }
    if (this.observation !== null) return 'ready';
    return this.postmaster === null ? 'none' : 'starting';
  }

  // ------------------------------------------------------------------ files

  markTerm(term: number): void {
    if (!this.folder) throw new StepError('internal', `${this.name} has no marker`);
    this.folder.marker = { ...this.folder.marker, term };
  }

  becomeStandby(): void {
    this.data().standbySignal = true;
    this.writeConfiguration();
  }

  /** @param goal whose settings are wanted: that of the orders, or what a step needs on the way to it. */
  writeConfiguration(goal: Goal = this.orders.goal): string {
    const text = this.configuration(goal);
    this.data().conf = text;
    return text;
  }

  reload(goal: Goal = this.orders.goal): void {
    const text = this.writeConfiguration(goal);
    this.sql().reload();
    this.#configuredAs = text;
    this.#reloadedFor = this.orders.record.reloads;
  }

  configuration(goal: Goal = this.orders.goal): string {
    if (goal.kind === 'checkpoint' || goal.kind === 'drain' || goal.kind === 'stop') return this.folder?.data?.conf ?? '';
    const idle: Conf = { ...NO_CONF, synchronousNames: this.orders.spec.commit === 'quorum' ? NOBODY : '' };
    const conf: Conf = goal.kind === 'follow'
      ? { ...idle, synchronousNames: goal.synchronousNames ?? idle.synchronousNames, upstream: goal.upstream.port, slot: goal.slot, name: goal.name }
      : 'synchronousNames' in goal ? { ...NO_CONF, synchronousNames: goal.synchronousNames } : idle;
    return JSON.stringify(conf);
  }

  // ------------------------------------------------------------------ the process

  *start(as: 'primary' | 'standby'): Work {
    const { world, orders, home } = this;
    yield* this.pause();
    if (as === 'standby') this.becomeStandby();
    const configured = this.writeConfiguration();
    yield* this.pause();
    world.disks.cgroups.add(this.name);
    yield* this.pause();
    const folder = this.folder;
    if (!folder) throw new StepError('internal', `${this.name} has no folder`);
    const me = this.agent.process;
    if (folder.lock !== null && folder.lock !== me && folder.lock.alive) throw new StepError('locked', `${this.name}'s folder is in use`);
    folder.lock = me;
    let server: ModelPostgres;
    try {
      this.#refuseFenced(as, orders.term);
      this.#refuseUnleased(as, orders.goal);
      yield* this.pause();
      home.runtime = { restarts: orders.record.restarts, incarnation: folder.marker.incarnation };
      yield* this.pause(20);
      server = yield* this.#spawn(orders.record.port);
    } catch (error) {
      folder.lock = null;
      throw error;
    }
    this.#watch(server, false);
    folder.lock = server;
    yield* this.pause();
    try {
      if (world.rules.markAgain) this.#refuseFenced(as, orders.term);
      this.#refuseUnleased(as, orders.goal);
    } catch (error) {
      server.stop('immediate');
      throw error;
    }
    this.#configuredAs = configured;
    this.#reloadedFor = orders.record.reloads;
  }

  *#spawn(port: number): Work<ModelPostgres> {
    const { world, folder, home } = this;
    if (world.startsFail.has(this.name)) throw new StepError('port-in-use', `port ${port} of ${this.name} is in use`);
    if (world.rules.cgroup && !world.disks.cgroups.has(this.name)) throw new StepError('postgres-failed', `${this.name} could not enter its cgroup`);
    if (!folder?.data) throw new StepError('postgres-failed', `${this.name} has no data directory`);
    const server = new ModelPostgres(world, {
      member: this.name, folder, port,
      restoreFrom: () => (home.restoreFrom === null ? null : (world.disks.folders.get(home.restoreFrom)?.data ?? null)),
    });
    world.trace(() => `postgres ${server.pid} of ${this.name} is started${folder.data?.standbySignal ? ' as a standby' : ''}`);
    while (server.alive && server.phase === 'booting') yield* sleep(5);
    if (!server.alive) throw new StepError('postgres-failed', `postgres of ${this.name} ended at once`);
    return server;
  }

  #refuseFenced(as: 'primary' | 'standby', term: number): void {
    const fenced = this.world.rules.fenceMark ? (this.folder?.fenced ?? null) : null;
    if (as === 'standby' || fenced === null || fenced < term) return;
    throw new StepError('fenced', `${this.name} was fenced in term ${fenced} and may not accept writes in term ${term}`);
  }

  get #needsLease(): boolean {
    return this.isLocal && this.orders.spec.withoutMajority === 'stop';
  }

  /** A start that was decided before this agent stood still: another may have been promoted meanwhile. */
  #refuseUnleased(as: 'primary' | 'standby', goal: Goal): void {
    if (as === 'standby' || goal.kind === 'create' || !this.#needsLease || this.agent.leased()) return;
    throw new StepError('unsafe', `${this.name} does not accept writes: the agents' majority is out of reach`);
  }

  *stop(mode: 'smart' | 'fast' | 'immediate', signal?: SimSignal): Work<boolean> {
    const server = this.postmaster;
    if (server === null) return true;
    this.stopping = true;
    yield* this.pause(2);
    if (mode === 'immediate') return yield* this.#stopWithin(server, 'immediate', FAST_STOP_MS, signal);
    if (mode === 'smart') return yield* this.#stopWithin(server, 'smart', 500, signal);
    if (yield* this.#stopWithin(server, 'fast', FAST_STOP_MS, signal)) return true;
    if (signal?.aborted) return false;
    return yield* this.#stopWithin(server, 'immediate', FAST_STOP_MS, signal);
  }

  *#stopWithin(server: ModelPostgres, mode: 'smart' | 'fast' | 'immediate', ms: number, signal?: SimSignal): Work<boolean> {
    const gone = new SimBell();
    server.onExit.push(() => gone.ring());
    server.stop(mode);
    if (server.alive && !signal?.aborted) yield { ms, bell: gone, ...(signal === undefined ? {} : { signal }) };
    return !server.alive;
  }

  #watch(server: ModelPostgres, adopted: boolean): void {
    this.postmaster = server;
    this.#swept = false;
    this.stopping = false;
    const exited = (): void => {
      if (this.postmaster !== server) return;
      this.postmaster = null;
      this.observation = null;
      this.stopping = false;
      this.#configuredAs = null;
      this.#wake();
    };
    if (server.alive) server.onExit.push(() => this.agent.process.after(adopted ? this.world.random.int(1, 50) : 0, exited));
    else exited();
  }
}
