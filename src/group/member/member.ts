/**
 * One member on its host: its folder, its postmaster, and the connection to it. The steps (steps/) use it; what to do
 * next is decided in next-step.ts, and the loop is in runner.ts.
 */
import { access, chmod, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { findCgroup, openCgroup } from '../../engine/cgroup.ts';
import { CONFIG_FILE, stripAutoConf, writeConfig } from '../../engine/config.ts';
import { controlFile, readControlFile } from '../../engine/control.ts';
import { KeptReads, readText } from '../../durable.ts';
import { fence } from '../../engine/fence.ts';
import { replaceFile, replaceIfDifferent } from '../../engine/files.ts';
import type { Engine } from '../../engine/find.ts';
import { giveTo, type OsUser } from '../../engine/osuser.ts';
import { readPidFile } from '../../engine/pidfile.ts';
import { adoptPostgres, startPostgres, stopPostgres, type Postmaster } from '../../engine/postmaster.ts';
import { identify } from '../../engine/proc.ts';
import { reach } from '../../engine/reach.ts';
import { SqlSession } from '../../engine/sql.ts';
import { errnoOf, PgorbitError } from '../../errors.ts';
import type { EventDraft } from '../../observe/event.ts';
import type { Log } from '../../observe/log.ts';
import { readFenced } from '../../volume/fencemark.ts';
import { acquireLock, releaseLock, transferLock, type LockOwner } from '../../volume/lock.ts';
import { lockOwner } from '../../volume/lock-owner.ts';
import { writeMarker, type Marker } from '../../volume/marker.ts';
import type { Volume } from '../../volume/volume.ts';
import { accountsExist } from './accounts.ts';
import type { Facts } from './next-step.ts';
import { observe, pendingRestart, type Observation } from './observe.ts';
import { promiseFile, readPromise } from './promises.ts';
import { holdingOf, markerFile, type Holding, type Place } from './place.ts';
import { ownHba, ownSettings } from './own-files.ts';
import { writeRestoreScript } from './restore.ts';
import { processKey, readPromotionAsked, readRuntime, runtimeFile, writePromotionAsked, writeRuntime } from './runtime.ts';
import { sameSlots } from './slots.ts';
import { asides } from './steps/clear.ts';
import { forgetReserved } from './steps/reserve-timelines.ts';
import { historyOf } from './steps/wal-end.ts';
import { howItStopped } from './stopped.ts';
import type { Endpoint, Goal, GroupSpec, MemberRecord, SecretsDocument, TimelineBegin } from '../model.ts';

export interface MemberEnvironment {
  user: OsUser | null;
  /** Where the member's folder lies. */
  volume: Volume;
  secrets: SecretsDocument;
  log: Log;
  tell: (event: EventDraft) => void;
  /** The agent may believe that nobody else was promoted, as the leading agent has lately taken its report. */
  leased: () => boolean;
  /** The agent began less than a lease ago, and nobody has answered it yet. */
  justBegun: () => boolean;
  /** Another site is the primary one by now, as this agent has heard from it. */
  superseded: () => boolean;
  /** The agent knows the cluster's documents as they are, not only as they were when it ended. */
  current: () => boolean;
  /** Something changed that the runner should look at. */
  wake: () => void;
  /** The report says something new; there is nothing to look at. */
  progressed: () => void;
}

/** What the group's record and the manifest say of this member at the moment. */
export interface Orders {
  goal: Goal;
  term: number;
  record: MemberRecord;
  spec: GroupSpec;
  systemIdentifier: string | null;
  /** What the manifest asks for; a running postgres goes on with what it was started with. */
  engine: Engine;
  /** Addresses of the group's members and agents. */
  addresses: string[];
  /** It is being made a cluster of its own, over which this one's agents have no say. */
  leaves?: true;
}

/** A fast stop that takes longer becomes an immediate one: crash recovery, but an end. */
const FAST_STOP_MS = 60_000;
/** pg_settings is read this seldom, or after a change of configuration. */
const PENDING_EVERY_MS = 30_000;

export class Member {
  readonly place: Place;
  readonly environment: MemberEnvironment;
  orders: Orders;
  postmaster: Postmaster | null = null;
  observation: Observation | null = null;
  step: string | null = null;
  stopping = false;
  /** Kinds of goals that were carried out whole. */
  checkpointedFor: string | null = null;
  /** The incarnation for which the data could not be put right: they are copied anew. */
  rewindFailedFor = 0;
  /** Its files are gone by these orders, or there never were any: what is found in their place later is a namesake's, of which this host has not heard. */
  removed = false;
  /** Of the timeline of a running primary. */
  history: { timeline: number; begins: TimelineBegin[] } | null = null;
  #sql: SqlSession | null = null;
  #sqlFor = '';
  /** Where the running postgres listens. */
  #listening: { address: string; port: number } | null = null;
  #configuredAs: string | null = null;
  /** The home folder as PostgreSQL's user reaches it, looked at anew whenever the configuration is written. */
  #reached: string | null = null;
  /** The record's `reloads` that is done; what was asked before this agent began is done by its first reload. */
  #reloadedFor = -1;
  #accounts = false;
  readonly #kept = new KeptReads();
  /** Of the postmaster that was watched last. */
  #lastPid: number | null = null;
  /** Nothing of it goes on. */
  #swept = false;
  #pending: { at: number; names: string[] } = { at: -Infinity, names: [] };

  constructor(place: Place, environment: MemberEnvironment, orders: Orders) {
    this.place = place;
    this.environment = environment;
    this.orders = orders;
  }

  nowDoing(step: string | null): void {
    this.step = step;
    this.environment.progressed();
  }

  tell(event: EventDraft): void {
    this.environment.tell({ group: this.place.group, member: this.place.member, ...event });
  }

  // ------------------------------------------------------------------ looking

  /** Takes over a postmaster that an earlier agent left running. */
  async adopt(): Promise<void> {
    if (this.postmaster !== null) return;
    const found = await adoptPostgres(this.place.dataDir);
    if (found === null) return;
    const file = await readPidFile(this.place.dataDir);
    this.#listening = file === null || file.listen === '' ? null : { address: file.listen, port: file.port };
    this.#watch(found);
  }

  async facts(): Promise<Facts & { systemIdentifier: string | null }> {
    const { place } = this;
    this.removed &&= this.orders.goal.kind === 'remove';
    if (!this.removed) await this.adopt();
    if (!this.removed && this.postmaster === null) await this.#sweep();
    const holding: Holding = this.removed ? { kind: 'nothing' } : await this.#kept.of(markerFile(place), () => holdingOf(place));
    const whole = holding.kind === 'data' && holding.marker.incarnation > 0 ? holding.marker : null;
    const process = await this.#look();
    const [runtime, promise, fencedTerm, standbySignal, asked] = await Promise.all([
      this.#kept.of(runtimeFile(place.homeDir), () => readRuntime(place.homeDir)),
      this.#kept.of(promiseFile(place.homeDir), () => readPromise(place.homeDir)),
      holding.kind === 'nothing' ? null : readFenced(place.dir),
      exists(join(place.dataDir, 'standby.signal')),
      this.postmaster === null ? null : readPromotionAsked(place.homeDir),
    ]);
    const { goal } = this.orders;
    const observation = this.observation;
    const primary = observation?.inRecovery === false;
    if (primary && this.history?.timeline !== observation.timeline) await this.#readHistory(observation.timeline);
    const stopped = process === 'none' && whole !== null ? await howItStopped(place.dataDir, goal.kind === 'stop', this.environment.log) : null;
    if (primary && !this.#accounts) this.#accounts = await accountsExist(this.sql(), this.environment.secrets);
    const aside = goal.kind === 'remove' && !this.removed && (await asides(place)).length > 0;
    this.removed ||= goal.kind === 'remove' && holding.kind === 'nothing' && !aside && process === 'none';
    return {
      data: whole === null ? null : {
        incarnation: whole.incarnation,
        term: whole.term,
        standbySignal,
        cleanStop: stopped?.clean ?? null,
      },
      stoppedAt: stopped?.end ?? null,
      debris: holding.kind !== 'nothing' && whole === null,
      aside,
      fencedTerm,
      process,
      inRecovery: observation?.inRecovery ?? null,
      startedFor: whole !== null && runtime.incarnation === whole.incarnation ? runtime.restarts : 0,
      configured: process === 'ready' && this.#reloadedFor === this.orders.record.reloads && this.#configuredAs === (await this.#configuration(observation?.inRecovery ?? false)),
      accounts: this.#accounts,
      slots: observation !== null && sameSlots(observation.slots, goal.kind === 'primary' || goal.kind === 'follow' ? (goal.slots ?? []) : []),
      sessions: observation?.sessions ?? null,
      checkpointed: this.checkpointedFor === this.checkpointKey(),
      promisedTerm: promise.term,
      promised: promise.position === null ? null : { term: promise.term, ...promise.position },
      current: this.environment.current(),
      leased: this.mayWrite(),
      mayGoOn: this.mayWrite() || (this.environment.justBegun() && !this.environment.superseded()),
      promotionAsked: this.postmaster !== null && asked === processKey(this.postmaster.id),
      rewindFailed: this.rewindFailedFor === this.orders.record.incarnation,
      systemIdentifier: observation?.systemIdentifier ?? null,
    };
  }

  /** On shared storage the fence stops an old primary; on storage of its own nobody else can. */
  #needsLease(): boolean {
    return this.place.dirOf === null && this.orders.spec.withoutMajority === 'stop';
  }

  /** Nobody else may have been promoted, here or on another site. */
  mayWrite(): boolean {
    return !this.environment.superseded() && (!this.#needsLease() || this.environment.leased());
  }

  async #readHistory(timeline: number): Promise<void> {
    this.history = { timeline, begins: await historyOf(join(this.place.dataDir, 'pg_wal'), timeline) };
  }

  /** One checkpoint a goal: a second switchover makes another. */
  checkpointKey(): string {
    return `${this.orders.term}:${this.orders.record.restarts}`;
  }

  /**
   * A backend in the midst of a statement notices the end of its postmaster only when it waits for something: until then it
   * writes on. Before it is gone nothing is done here, and the member does not count as down.
   */
  async #sweep(): Promise<void> {
    if (this.#swept) return;
    const { killed } = await fence(this.place.dataDir, await findCgroup(this.place.cgroupOf(this.place.member)));
    this.#swept = true;
    if (killed > 0) this.environment.log.info({ killed }, 'processes that the ended postgres had left were killed');
  }

  /** The postmaster's process id; that of one that has ended, until it is known that nothing of it goes on. */
  get pid(): number | null {
    return this.postmaster?.id.pid ?? (this.#swept ? null : this.#lastPid);
  }

  async #look(): Promise<Facts['process']> {
    if (this.postmaster === null) {
      this.observation = null;
      return 'none';
    }
    if (this.stopping) return 'stopping';
    try {
      const seen = await observe(this.sql());
      this.observation = { ...seen, pendingRestart: await this.#pendingRestart() };
      return 'ready';
    } catch (error) {
      this.environment.log.debug({ err: error }, 'postgres does not answer yet');
      this.observation = null;
      return this.postmaster === null ? 'none' : 'starting';
    }
  }

  async #pendingRestart(): Promise<string[]> {
    if (performance.now() - this.#pending.at > PENDING_EVERY_MS) {
      this.#pending = { at: performance.now(), names: await pendingRestart(this.sql()) };
    }
    return this.#pending.names;
  }

  /** The agent's own connection to this member: to where it listens, which orders may be about to change. */
  sql(): SqlSession {
    const { address, port } = this.#listening ?? this.orders.record;
    const target = `${address}:${port}`;
    if (this.#sql === null || this.#sqlFor !== target) {
      const old = this.#sql;
      if (old !== null) void old.close();
      this.#sql = this.connect({ member: this.place.member, address, port });
      this.#sqlFor = target;
    }
    return this.#sql;
  }

  /** Another connection to this member, which the caller closes. */
  connectToSelf(database = 'postgres'): SqlSession {
    const { address, port } = this.#listening ?? this.orders.record;
    return this.connect({ member: this.place.member, address, port }, database);
  }

  /** A connection of the agent's to any member; the caller closes it. */
  connect(endpoint: Endpoint, database = 'postgres'): SqlSession {
    const { user, password } = this.environment.secrets.agent;
    return new SqlSession({ host: endpoint.address, port: endpoint.port, user, password, database });
  }

  // ------------------------------------------------------------------ files

  marker(incarnation: number, term: number): Marker {
    const { clusterId, cluster, group, member } = this.place;
    return { format: 1, clusterId, cluster, group, member, incarnation, term, systemIdentifier: this.orders.systemIdentifier, madeAt: new Date().toISOString() };
  }

  async writeMarker(incarnation: number, term: number): Promise<void> {
    await writeMarker(this.place.dir, this.marker(incarnation, term));
  }

  /** The data now belong to this term. */
  async markTerm(term: number): Promise<void> {
    const holding = await holdingOf(this.place);
    if (holding.kind !== 'data') throw new PgorbitError('internal', `${this.place.dir} has no marker to write a term into`);
    await writeMarker(this.place.dir, { ...holding.marker, term, systemIdentifier: this.orders.systemIdentifier ?? holding.marker.systemIdentifier });
  }

  /** Files that root wrote into the data directory become PostgreSQL's; those that are missing are passed over. */
  async give(folder: string, names: string[]): Promise<void> {
    for (const name of names) {
      await giveTo(join(folder, name), this.environment.user).catch((error: unknown) => {
        if (errnoOf(error) !== 'ENOENT') throw error;
      });
    }
  }

  async becomeStandby(): Promise<void> {
    await replaceFile(join(this.place.dataDir, 'standby.signal'), '');
    await this.writeConfiguration(true);
  }

  /** pgorbit.conf and pg_hba.conf as goal and manifest ask. */
  async writeConfiguration(standby: boolean, goal: Goal = this.orders.goal): Promise<string> {
    const { dataDir } = this.place;
    this.#reached = null;
    const text = await this.#configuration(standby, goal);
    await writeConfig(dataDir, await this.#file(standby, goal));
    await stripAutoConf(dataDir);
    await replaceIfDifferent(join(dataDir, 'pg_hba.conf'), ownHba(this));
    return text;
  }

  /** @param goal whose settings are wanted: that of the orders, or what a step needs on the way to it. */
  async reload(goal: Goal = this.orders.goal): Promise<void> {
    const text = await this.writeConfiguration(this.observation?.inRecovery ?? false, goal);
    await this.sql().query('select pg_reload_conf()');
    this.#configuredAs = text;
    this.#reloadedFor = this.orders.record.reloads;
    this.#pending = { at: -Infinity, names: [] };
  }

  async #configuration(standby: boolean, goal: Goal = this.orders.goal): Promise<string> {
    return `${await this.#file(standby, goal)}\n${ownHba(this)}`;
  }

  async #file(standby: boolean, goal: Goal): Promise<string> {
    const { environment, place } = this;
    this.#reached ??= await reach(place.homeDir, environment.user);
    // Goals that leave a running member as it is leave its settings, too.
    const keep = goal.kind === 'checkpoint' || goal.kind === 'drain' || goal.kind === 'stop';
    const present = keep ? await readText(join(place.dataDir, CONFIG_FILE)) : null;
    if (present !== null) return present;
    return ownSettings(this, goal, this.#reached, standby ? (await this.#kept.of(controlFile(place.dataDir), () => readControlFile(place.dataDir))).limits : null);
  }

  // ------------------------------------------------------------------ the process

  /** Prepares the folders outside the data directory. */
  async prepareHome(): Promise<void> {
    const { place, environment } = this;
    await mkdir(join(place.homeDir, 'log'), { recursive: true });
    await mkdir(place.socketDir, { recursive: true });
    await chmod(place.socketDir, 0o755);
    await giveTo(place.socketDir, environment.user);
    await writeRestoreScript(place.homeDir);
  }

  /**
   * Starts postgres. The order matters to whoever fences this folder at the same time: cgroup, mark, start, mark again.
   * @throws `fenced`, `locked`, and what startPostgres throws.
   */
  async start(as: 'primary' | 'standby'): Promise<void> {
    const { place, environment, orders } = this;
    await this.prepareHome();
    if (as === 'standby') {
      await forgetReserved(place.dataDir);
      await this.becomeStandby();
    }
    const configured = await this.writeConfiguration(as === 'standby');
    const cgroup = await openCgroup(place.cgroupOf(place.member));
    const me = await this.#owner(process.pid);
    await acquireLock(place.dir, me);
    let postmaster: Postmaster;
    try {
      await this.#refuseFenced(as, orders.term);
      this.#refuseUnleased(as, orders.goal);
      const marker = await holdingOf(place);
      const incarnation = marker.kind === 'data' ? marker.marker.incarnation : 0;
      await writeRuntime(place.homeDir, { restarts: orders.record.restarts, incarnation });
      postmaster = await startPostgres({
        engine: orders.engine,
        dataDir: place.dataDir,
        port: orders.record.port,
        listen: [orders.record.address],
        socketDir: place.socketDir,
        logFile: place.logFile,
        user: environment.user,
        cgroup,
      });
    } catch (error) {
      await releaseLock(place.dir, me);
      throw error;
    }
    this.#listening = { address: orders.record.address, port: orders.record.port };
    this.#watch(postmaster);
    await transferLock(place.dir, me, await this.#owner(postmaster.id.pid));
    try {
      await this.#refuseFenced(as, orders.term);
      this.#refuseUnleased(as, orders.goal);
    } catch (error) {
      await stopPostgres(postmaster, 'immediate', FAST_STOP_MS);
      throw error;
    }
    this.#configuredAs = configured;
    this.#reloadedFor = orders.record.reloads;
    this.#pending = { at: -Infinity, names: [] };
  }

  /**
   * A fenced folder may be started as a standby, never as a primary of the term that fenced it or an earlier one.
   * @param term of the orders that the start obeys: newer ones may have come since, and a later fence with them.
   */
  async #refuseFenced(as: 'primary' | 'standby', term: number): Promise<void> {
    const fenced = await readFenced(this.place.dir);
    if (as === 'standby' || fenced === null || fenced < term) return;
    throw new PgorbitError('fenced', `${this.place.member} was fenced in term ${fenced} and may not accept writes in term ${term}`);
  }

  /** To be noted before PostgreSQL is asked: it can't be asked to forget it, and may complete it at any time. */
  async notePromotion(): Promise<void> {
    if (this.postmaster !== null) await writePromotionAsked(this.place.homeDir, processKey(this.postmaster.id));
  }

  /** A start that was decided before this agent stood still: another may have been promoted meanwhile. */
  #refuseUnleased(as: 'primary' | 'standby', goal: Goal): void {
    if (as === 'standby' || goal.kind === 'create' || this.orders.leaves === true || this.mayWrite()) return;
    const why = this.environment.superseded() ? 'the other site is the primary one now' : "the agents' majority is out of reach, so that another may have been promoted";
    throw new PgorbitError('unsafe', `${this.place.member} does not accept writes: ${why}`);
  }

  /** @returns true when it is down; false while a smart stop still waits for clients. */
  async stop(mode: 'smart' | 'fast' | 'immediate', signal?: AbortSignal): Promise<boolean> {
    const postmaster = this.postmaster;
    if (postmaster === null) return true;
    this.stopping = true;
    await this.#closeSql();
    if (mode === 'immediate') return stopPostgres(postmaster, 'immediate', FAST_STOP_MS, signal);
    if (mode === 'smart') return stopPostgres(postmaster, 'smart', 500, signal);
    if (await stopPostgres(postmaster, 'fast', FAST_STOP_MS, signal)) return true;
    if (signal?.aborted) return false;
    this.tell({ level: 'warning', kind: 'stop-immediate', message: `${this.place.member} did not stop within ${FAST_STOP_MS / 1000} s: it is stopped without a checkpoint` });
    return stopPostgres(postmaster, 'immediate', FAST_STOP_MS, signal);
  }

  /** Replay neither waits for readers nor stays paused. */
  async letReplayRun(): Promise<void> {
    await this.reload();
    await this.sql().query('select pg_wal_replay_resume() where pg_is_wal_replay_paused()');
  }

  /** Lets go of the process without touching it. */
  async release(): Promise<void> {
    this.postmaster?.release();
    this.postmaster = null;
    await this.#closeSql();
  }

  /** Deletes what lies outside the volume: log, socket, small files. */
  async removeHome(): Promise<void> {
    await rm(this.place.socketDir, { recursive: true, force: true });
    await rm(this.place.homeDir, { recursive: true, force: true });
    await (await openCgroup(this.place.cgroupOf(this.place.member)))?.remove();
  }

  #watch(postmaster: Postmaster): void {
    this.postmaster = postmaster;
    this.#lastPid = postmaster.id.pid;
    this.#swept = false;
    this.stopping = false;
    void postmaster.exited.then(() => {
      if (this.postmaster !== postmaster) return;
      this.postmaster = null;
      this.observation = null;
      this.stopping = false;
      this.#configuredAs = null;
      this.environment.wake();
    });
  }

  async #closeSql(): Promise<void> {
    const sql = this.#sql;
    this.#sql = null;
    await sql?.close();
  }

  async #owner(pid: number): Promise<LockOwner> {
    const id = identify(pid);
    if (id === null) throw new PgorbitError('postgres-failed', `process ${pid} of ${this.place.member} ended at once`);
    return lockOwner(this.place.host, id, this.orders.term);
  }
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(() => true, () => false);
}
