/**
 * One logger on its host: its folder, its process, and the control connection to it. What to do next is decided in
 * next-step.ts, and the loop is in runner.ts.
 */
import { chmod, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, KeptReads, writeDurably } from '../../durable.ts';
import { openCgroup } from '../../engine/cgroup.ts';
import { giveTo } from '../../engine/osuser.ts';
import { reach } from '../../engine/reach.ts';
import { PgorbitError } from '../../errors.ts';
import type { EventDraft } from '../../observe/event.ts';
import { LoggerClient } from '../../wal/logger/client.ts';
import type { LoggerStatus } from '../../wal/logger/logger.ts';
import type { LoggerFile } from '../../wal/logger/main.ts';
import type { MemberEnvironment, Orders } from '../member/member.ts';
import { holdingOf, markerFile, type Place } from '../member/place.ts';
import { readRuntime, runtimeFile, writeRuntime } from '../member/runtime.ts';
import { asides } from '../member/steps/clear.ts';
import type { MemberReport } from '../model.ts';
import { dropAside, removeFolders, setAside } from '../member/steps/clear.ts';
import type { Facts, Step } from './next-step.ts';
import { adoptLogger, loggerUser, startLogger, stopLogger, type LoggerProcess } from './process.ts';
import { compareSettings, loggerFile, tunablesOf, verifierOf } from './settings.ts';

export type LoggerEnvironment = Pick<MemberEnvironment, 'user' | 'volume' | 'secrets' | 'log' | 'tell' | 'current' | 'wake'>;

/** A logger that does not answer for so long is looked at again; it may wait for its disk. */
const STATUS_MS = 2_000;

export class LoggerMember {
  readonly place: Place;
  readonly environment: LoggerEnvironment;
  orders: Orders;
  process: LoggerProcess | null = null;
  status: LoggerStatus | null = null;
  promised: MemberReport['promised'] = null;
  /** What members and archive still need, as the agent last said; null while that is not known. */
  holds: string[] | null = null;
  /** performance.now() when the process began or was found. */
  since = 0;
  /** It is being stopped, or was: its end is no accident. */
  stopping = false;
  readonly #client: LoggerClient;
  readonly #quick: LoggerClient;
  readonly #kept = new KeptReads();
  #users: Record<string, string> | null = null;
  /** The configuration that the process runs with. */
  #running: LoggerFile | null = null;
  /** The holds that the process knows of, as JSON. */
  #told: string | null = null;

  constructor(place: Place, environment: LoggerEnvironment, orders: Orders) {
    this.place = place;
    this.environment = environment;
    this.orders = orders;
    this.#client = new LoggerClient(this.#control);
    this.#quick = new LoggerClient(this.#control, STATUS_MS);
  }

  tell(event: EventDraft): void {
    this.environment.tell({ group: this.place.group, member: this.place.member, ...event });
  }

  get #control(): string {
    return join(this.place.socketDir, 'logger');
  }
  get #file(): string {
    return join(this.place.homeDir, 'logger.json');
  }

  // ------------------------------------------------------------------ looking

  /** Takes over a logger that an earlier agent left running. */
  async adopt(): Promise<void> {
    if (this.process !== null) return;
    const found = adoptLogger(this.place.dataDir);
    if (found === null) return;
    this.#running = await readFile(this.#file, 'utf8').then((text) => JSON.parse(text) as LoggerFile).catch(() => null);
    this.#watch(found);
  }

  async facts(): Promise<Facts> {
    const { place, orders } = this;
    await this.adopt();
    const holding = await this.#kept.of(markerFile(place), () => holdingOf(place));
    const data = holding.kind === 'data' ? { incarnation: holding.marker.incarnation, empty: !(await exists(join(place.dataDir, 'state'))) } : null;
    const process = await this.#look();
    const runtime = await this.#kept.of(runtimeFile(place.homeDir), () => readRuntime(place.homeDir));
    const upstream = this.status?.upstream ?? null;
    return {
      data,
      debris: holding.kind === 'debris',
      aside: orders.goal.kind === 'remove' && (await asides(place)).length > 0,
      process,
      startedFor: data !== null && runtime.incarnation === data.incarnation ? runtime.restarts : 0,
      settings: this.#running === null ? 'restart' : compareSettings(this.#running, this.#wanted(this.#running)),
      promisedTerm: this.status?.term ?? 0,
      answeredTerm: this.promised?.term ?? 0,
      current: this.environment.current(),
      following: upstream === null || upstream.state === 'stopped' ? null
        : { host: upstream.host, port: upstream.port, slot: upstream.slot, name: upstream.applicationName, term: upstream.term },
    };
  }

  async #look(): Promise<Facts['process']> {
    const process = this.process;
    if (process === null) return 'none';
    if (this.stopping) return 'stopping';
    try {
      const status = await this.#quick.status();
      if (this.process !== process) return 'none';
      this.status = status;
      await this.#tellHolds();
      return 'ready';
    } catch (error) {
      this.environment.log.debug({ err: error }, 'the logger does not answer');
      this.status = null;
      return this.process === null ? 'none' : 'starting';
    }
  }

  /** A process that just began knows of none, and purges nothing until it is told. */
  async #tellHolds(): Promise<void> {
    const text = JSON.stringify(this.holds);
    if (text === this.#told) return;
    await this.#quick.holds(this.holds);
    this.#told = text;
  }

  /** @param paths as the logger's own user reaches them. */
  #wanted(paths: { dir: string; control: string }): LoggerFile {
    const { cluster, group, member } = this.place;
    this.#users ??= verifierOf(this.environment.secrets.replication, `${cluster}/${group}/${member}`);
    return loggerFile({ dir: paths.dir, control: paths.control }, this.orders.record, this.orders.spec.logger, this.#users);
  }

  // ------------------------------------------------------------------ acting

  /** Carries out one step. Every step may be repeated. */
  async take(step: Step): Promise<void> {
    const { place, environment } = this;
    switch (step.do) {
      case 'nothing':
        return;
      case 'make-folder':
        return await this.#makeFolder();
      case 'set-aside':
        return await setAside(place, environment.volume);
      case 'start':
        return await this.#start();
      case 'stop':
        return await this.stop();
      case 'tune':
        return await this.#tune();
      case 'follow':
        return await this.#follow();
      case 'promise':
        return await this.#promise();
      case 'remove':
        return await this.#remove();
    }
  }

  async #makeFolder(): Promise<void> {
    const { clusterId, cluster, group, member, dir } = this.place;
    const { record, term, systemIdentifier } = this.orders;
    await this.environment.volume.createMember(dir, {
      format: 1, clusterId, cluster, group, member, incarnation: record.incarnation, term, systemIdentifier, madeAt: new Date().toISOString(),
    });
  }

  async #start(): Promise<void> {
    const { place, orders } = this;
    const holding = await holdingOf(place);
    if (holding.kind !== 'data') throw new PgorbitError('internal', `${place.member} has no folder to start in`);
    const user = await loggerUser(this.environment.user);
    await mkdir(join(place.homeDir, 'log'), { recursive: true });
    await mkdir(place.socketDir, { recursive: true });
    await chmod(place.socketDir, 0o755);
    await giveTo(place.socketDir, user);
    await mkdir(place.dataDir, { recursive: true, mode: 0o700 });
    await giveTo(place.dataDir, user);
    const file = this.#wanted({ dir: await reach(place.dataDir, user), control: join(await reach(place.socketDir, user), 'logger') });
    await this.#writeFile(file);
    await writeRuntime(place.homeDir, { restarts: orders.record.restarts, incarnation: holding.marker.incarnation });
    const process = await startLogger({
      configFile: join(await reach(place.homeDir, user), 'logger.json'),
      control: this.#control,
      logFile: place.logFile,
      user,
      cgroup: await openCgroup(place.cgroupOf(place.member)),
    });
    this.#running = file;
    this.#watch(process);
  }

  /** Holds the verifier of an account's password. */
  async #writeFile(file: LoggerFile): Promise<void> {
    await writeDurably(this.#file, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
    await giveTo(this.#file, await loggerUser(this.environment.user));
  }

  async #tune(): Promise<void> {
    const running = this.#running;
    if (running === null) throw new PgorbitError('internal', `${this.place.member} does not run`);
    await this.#client.configure(tunablesOf(this.orders.spec.logger));
    const file = this.#wanted(running);
    await this.#writeFile(file);
    this.#running = file;
  }

  async #follow(): Promise<void> {
    const { goal, term } = this.orders;
    if (goal.kind !== 'follow') throw new PgorbitError('internal', `${this.place.member} has nobody to follow`);
    const { user, password } = this.environment.secrets.replication;
    await this.#client.follow({ host: goal.upstream.address, port: goal.upstream.port, user, password, applicationName: goal.name, slot: goal.slot, term });
  }

  async #promise(): Promise<void> {
    const { term, record } = this.orders;
    const answer = await this.#client.promise(term);
    if (answer.flushed === null && record.joined) {
      throw new PgorbitError('unsafe', `${this.place.member} has lost the WAL that it acknowledged: its promise must not count`, { hint: 'it begins anew once there is a primary again' });
    }
    this.promised = { term: answer.term, timeline: answer.timeline, lsn: answer.flushed ?? '0/0' };
  }

  /** Stops the process, whoever started it. */
  async stop(): Promise<void> {
    if (this.process === null) return;
    this.stopping = true;
    const { process } = this;
    await stopLogger(process);
    this.#gone(process);
  }

  async #remove(): Promise<void> {
    const { place, environment } = this;
    await removeFolders(place, environment.volume);
    await rm(place.socketDir, { recursive: true, force: true });
    await rm(place.homeDir, { recursive: true, force: true });
    await (await openCgroup(place.cgroupOf(place.member)))?.remove();
  }

  /** It streams: WAL of earlier incarnations is not needed any more. */
  async settle(): Promise<void> {
    await dropAside(this.place, this.environment.volume);
  }

  /** Lets go of the process without touching it. */
  release(): void {
    this.process?.release();
    this.process = null;
  }

  #watch(process: LoggerProcess): void {
    this.process = process;
    this.stopping = false;
    this.since = performance.now();
    void process.exited.then(() => this.#gone(process));
  }

  #gone(process: LoggerProcess): void {
    if (this.process !== process) return;
    process.release();
    this.process = null;
    this.status = null;
    // What was flushed of a record that was not whole is not found again at the next start: its position is asked anew.
    this.promised = null;
    this.#running = null;
    this.#told = null;
    this.environment.wake();
  }
}
