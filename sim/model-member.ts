/** src/group/member/member.ts of the model: one member on its host, its folder, its postmaster. */
import type { Orders } from '../src/group/member/member.ts';
import type { Facts } from '../src/group/member/next-step.ts';
import type { Observation } from '../src/group/member/observe.ts';
import { sameSlots } from '../src/group/member/slots.ts';
import { ModelPostgres } from './model-postgres.ts';
import { ASIDE, type Data, type Folder } from './model-volume.ts';
import { sleep, type SimProcess, type SimSignal, SimBell, type Work } from './process.ts';
import { StepError } from './violation.ts';
import { lsnOf, timelineOf } from './wal.ts';
import type { World } from './world.ts';

const FAST_STOP_MS = 60_000;

export class ModelMember {
  readonly world: World;
  /** The agent's process. */
  readonly agent: SimProcess;
  readonly name: string;
  orders: Orders;
  postmaster: ModelPostgres | null = null;
  observation: Observation | null = null;
  step: string | null = null;
  stopping = false;
  checkpointedFor: string | null = null;
  readonly #wake: () => void;
  readonly #progressed: () => void;
  #configuredAs: string | null = null;
  #reloadedFor = -1;

  constructor(world: World, agent: SimProcess, name: string, orders: Orders, wake: () => void, progressed: () => void) {
    this.world = world;
    this.agent = agent;
    this.name = name;
    this.orders = orders;
    this.#wake = wake;
    this.#progressed = progressed;
  }

  nowDoing(step: string | null): void {
    this.step = step;
    this.#progressed();
  }

  get folder(): Folder | undefined {
    return this.world.volume.folders.get(this.name);
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
    if (server === null || !server.alive || server.phase !== 'ready') throw new StepError('postgres-failed', `${this.name} does not answer`);
    return server;
  }

  /** A moment that passes between two system calls, or a network round trip: anything may happen in it. */
  *pause(most = 4): Work {
    yield* sleep(this.world.random.int(0, most));
  }

  // ------------------------------------------------------------------ looking

  adopt(): void {
    if (this.postmaster !== null) return;
    const found = this.world.volume.serverIn(this.folder);
    if (found !== undefined && found.phase !== 'booting') this.#watch(found, true);
  }

  *facts(): Work<Facts & { systemIdentifier: string | null }> {
    this.adopt();
    yield* this.pause(2);
    const { folder, world } = this;
    const whole = folder !== undefined && folder.data !== null && folder.marker.member === this.name && folder.marker.incarnation > 0 ? { ...folder.marker, data: folder.data } : null;
    const process = yield* this.#look();
    const { runtime } = world.home(this.name);
    const { goal, record } = this.orders;
    const { observation } = this;
    return {
      data: whole === null ? null : {
        incarnation: whole.incarnation, term: whole.term, standbySignal: whole.data.standbySignal,
        cleanStop: process === 'none' ? whole.data.clean : null,
      },
      debris: folder !== undefined && whole === null,
      aside: goal.kind === 'remove' && [...world.volume.folders.keys()].some((name) => name.startsWith(`${this.name}${ASIDE}`)),
      fencedTerm: world.rules.fenceMark ? (this.folder?.fenced ?? null) : null,
      process,
      inRecovery: observation?.inRecovery ?? null,
      startedFor: whole !== null && runtime.incarnation === whole.incarnation ? runtime.restarts : 0,
      configured: process === 'ready' && this.#reloadedFor === record.reloads && this.#configuredAs === this.#configuration(),
      accounts: whole?.data.accounts ?? false,
      slots: observation !== null && sameSlots(observation.slots, goal.kind === 'primary' ? goal.slots : []),
      sessions: observation?.sessions ?? null,
      checkpointed: this.checkpointedFor === this.checkpointKey(),
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
    this.observation = this.postmaster?.phase === 'ready' && this.postmaster.alive ? observe(this.postmaster) : null;
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

  writeConfiguration(): string {
    const text = this.#configuration();
    this.data().conf = text;
    return text;
  }

  reload(): void {
    const text = this.writeConfiguration();
    this.sql().reload();
    this.#configuredAs = text;
    this.#reloadedFor = this.orders.record.reloads;
  }

  #configuration(): string {
    const { goal } = this.orders;
    if (goal.kind === 'checkpoint' || goal.kind === 'drain' || goal.kind === 'stop') return this.folder?.data?.conf ?? '';
    return JSON.stringify(goal.kind === 'follow' ? { upstream: goal.upstream.port, slot: goal.slot } : { upstream: null, slot: null, promote: goal.kind === 'promote' });
  }

  // ------------------------------------------------------------------ the process

  *start(as: 'primary' | 'standby'): Work {
    const { world, orders } = this;
    yield* this.pause();
    if (as === 'standby') this.becomeStandby();
    const configured = this.writeConfiguration();
    yield* this.pause();
    world.volume.cgroups.add(this.name);
    yield* this.pause();
    const folder = this.folder;
    if (!folder) throw new StepError('internal', `${this.name} has no folder`);
    if (folder.lock !== null && folder.lock !== this.agent && folder.lock.alive) throw new StepError('locked', `${this.name}'s folder is in use`);
    folder.lock = this.agent;
    let server: ModelPostgres;
    try {
      this.#refuseFenced(as, orders.term);
      yield* this.pause();
      world.home(this.name).runtime = { restarts: orders.record.restarts, incarnation: folder.marker.incarnation };
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
    } catch (error) {
      server.stop('immediate');
      throw error;
    }
    this.#configuredAs = configured;
    this.#reloadedFor = orders.record.reloads;
  }

  *#spawn(port: number): Work<ModelPostgres> {
    const { world, folder } = this;
    if (world.startsFail.has(this.name)) throw new StepError('port-in-use', `port ${port} of ${this.name} is in use`);
    if (world.rules.cgroup && !world.volume.cgroups.has(this.name)) throw new StepError('postgres-failed', `${this.name} could not enter its cgroup`);
    if (!folder?.data) throw new StepError('postgres-failed', `${this.name} has no data directory`);
    const home = world.home(this.name);
    const server = new ModelPostgres(world, {
      member: this.name, folder, port,
      restoreFrom: () => (home.restoreFrom === null ? null : (world.volume.folders.get(home.restoreFrom)?.data ?? null)),
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

  *stop(mode: 'smart' | 'fast', signal?: SimSignal): Work<boolean> {
    const server = this.postmaster;
    if (server === null) return true;
    this.stopping = true;
    yield* this.pause(2);
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
    this.stopping = false;
    const exited = (): void => {
      if (this.postmaster !== server) return;
      this.postmaster = null;
      this.observation = null;
      this.stopping = false;
      this.#configuredAs = null;
      this.#wake();
    };
    if (server.alive) server.onExit.push(() => this.agent.after(adopted ? this.world.random.int(1, 50) : 0, exited));
    else exited();
  }
}

function observe(server: ModelPostgres): Observation {
  const { data } = server;
  const position = server.inRecovery ? server.replayed : data.wal.length;
  return {
    inRecovery: server.inRecovery,
    timeline: timelineOf(data.wal),
    lsn: lsnOf(position),
    received: server.inRecovery ? lsnOf(data.wal.length) : null,
    streamingFrom: server.receiver === null ? null : `127.0.0.1:${server.receiver.port}`,
    lagMs: server.inRecovery ? 0 : null,
    sessions: server.sessions,
    systemIdentifier: data.systemIdentifier,
    synchronousNames: server.inRecovery ? null : '',
    followers: server.followers().map((standby) => ({ name: standby.member, replay: lsnOf(standby.replayed), flush: lsnOf(standby.data.wal.length), synchronous: false })),
    slots: [...data.slots].sort(),
    pendingRestart: [],
  };
}
