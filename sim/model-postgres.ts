/**
 * One postmaster on a data directory. What it becomes is decided by the directory, not by whoever started it: with
 * standby.signal it recovers and follows, without it recovers and accepts writes.
 */
import type { Data, Folder } from './model-volume.ts';
import { admits, isPrefix, timelineOf } from './wal.ts';
import { Violation } from './violation.ts';
import type { World } from './world.ts';

export type Phase = 'booting' | 'recovering' | 'ready' | 'stopping';

/** What of pgorbit.conf the model reads. */
export interface Conf {
  upstream: number | null;
  slot: string | null;
}

export class ModelPostgres {
  readonly pid: number;
  readonly member: string;
  readonly folder: Folder;
  readonly data: Data;
  readonly port: number;
  phase: Phase = 'booting';
  alive = true;
  inRecovery = true;
  replayed = 0;
  /** The server it streams from just now. */
  receiver: ModelPostgres | null = null;
  sessions = 0;
  /** A smart stop waits for sessions. */
  smart = false;
  conf: Conf;
  /** The folder whose pg_wal the restore script reads from, or null while it finds nothing. */
  readonly restoreFrom: () => Data | null;
  readonly onExit: (() => void)[] = [];
  readonly #world: World;

  constructor(world: World, options: { member: string; folder: Folder; port: number; restoreFrom: () => Data | null }) {
    const { folder } = options;
    if (folder.data === null) throw new Error('no data directory to start on');
    this.#world = world;
    this.pid = world.nextPid();
    this.member = options.member;
    this.folder = folder;
    this.data = folder.data;
    this.port = options.port;
    this.restoreFrom = options.restoreFrom;
    this.conf = JSON.parse(this.data.conf) as Conf;
    world.volume.servers.push(this);
    const { random } = world;
    this.#after(random.int(3, 40), () => this.#boot());
  }

  get open(): boolean {
    return this.alive && !this.inRecovery;
  }

  /** SIGKILL to all of it. */
  kill(): void {
    if (!this.alive) return;
    if (!this.inRecovery) this.data.torn = true;
    this.data.clean = false;
    this.#exit();
  }

  stop(mode: 'smart' | 'fast' | 'immediate'): void {
    if (!this.alive) return;
    if (mode === 'immediate' || this.phase === 'booting' || this.phase === 'recovering') {
      this.kill();
      return;
    }
    if (mode === 'smart' && this.sessions > 0) {
      this.smart = true;
      this.phase = 'stopping';
      return;
    }
    if (this.phase === 'stopping' && !this.smart) return;
    this.#shutDown();
  }

  /** A client's session begins or ends. */
  session(change: 1 | -1): void {
    if (!this.alive || this.sessions + change < 0 || (change === 1 && this.phase !== 'ready')) return;
    this.sessions += change;
    if (this.smart && this.sessions === 0) this.#shutDown();
  }

  reload(): void {
    this.conf = JSON.parse(this.data.conf) as Conf;
  }

  /** pg_promote(): what was received is replayed, then a new timeline begins. */
  promote(): void {
    const { random } = this.#world;
    this.#after(random.int(5, 60), () => {
      if (this.phase !== 'ready' || !this.inRecovery) return;
      this.receiver = null;
      this.replayed = this.data.wal.length;
      const history = [timelineOf(this.data.wal), timelineOf(this.restoreFrom()?.wal ?? [])];
      const timeline = Math.max(...history) + 1;
      this.#world.invariants.timelineMade(timeline, this.member);
      this.data.wal.push({ timeline, commit: null });
      this.data.standbySignal = false;
      this.#open('promoted');
    });
  }

  #after(ms: number, run: () => void): void {
    this.#world.clock.after(ms, () => {
      if (this.alive) run();
    });
  }

  /** Port and shared memory are taken. */
  #boot(): void {
    const { volume, random, invariants } = this.#world;
    const other = volume.servers.find((server) => server !== this && server.alive && server.phase !== 'booting' && (server.folder === this.folder || server.port === this.port));
    if (other !== undefined) {
      this.#exit();
      return;
    }
    invariants.serverStarts(this);
    this.phase = 'recovering';
    this.data.clean = false;
    this.#after(random.int(30, 400), () => {
      this.phase = 'ready';
      this.replayed = this.data.wal.length;
      if (this.data.standbySignal) {
        this.data.torn = false;
        this.#follow();
      } else this.#open('recovered');
    });
  }

  #open(how: string): void {
    this.inRecovery = false;
    this.data.torn = false;
    this.#world.trace(() => `${this.member} accepts writes (${how}), timeline ${timelineOf(this.data.wal)}, WAL ${this.data.wal.length}`);
    this.#world.invariants.opened(this);
  }

  /** Streams from the upstream, or reads what the restore script finds; a little at a time. */
  #follow(): void {
    if (!this.inRecovery) return;
    if (this.phase === 'ready') {
      this.#receive();
      if (!this.#world.random.chance(0.1)) this.replayed = this.data.wal.length;
    }
    this.#after(this.#world.random.int(30, 120), () => this.#follow());
  }

  #receive(): void {
    const { volume, random } = this.#world;
    const restored = this.restoreFrom();
    if (restored !== null && admits(this.data.wal, restored.wal) === 'ok') this.#append(restored.wal, random.int(1, 200));
    const upstream = this.conf.upstream === null ? undefined : volume.listening(this.conf.upstream);
    if (upstream === undefined || upstream === this || upstream.phase !== 'ready' || !this.#served(upstream)) {
      this.receiver = null;
      return;
    }
    this.receiver = upstream;
    if (!random.chance(0.2)) this.#append(upstream.data.wal, random.chance(0.2) ? 2 : 1000);
  }

  #served(upstream: ModelPostgres): boolean {
    const { slot } = this.conf;
    const { length } = this.data.wal;
    return slot !== null && upstream.data.slots.has(slot) && length >= upstream.data.oldest && admits(this.data.wal, upstream.data.wal) === 'ok';
  }

  #append(source: Data['wal'], count: number): void {
    const { wal } = this.data;
    if (!isPrefix(wal, source)) throw new Violation('diverged', `${this.member} goes on from WAL that is not its own: timeline ${timelineOf(wal)} was made twice`);
    for (let i = wal.length, end = Math.min(source.length, i + count); i < end; i += 1) wal.push(source[i]!);
  }

  /** Standbys that stream from this server just now. */
  followers(): ModelPostgres[] {
    return this.#world.volume.servers.filter((standby) => standby.alive && standby.receiver === this);
  }

  /** A clean stop: the checkpoint at its end reaches every standby that streams. */
  #shutDown(): void {
    this.phase = 'stopping';
    this.smart = false;
    const { random } = this.#world;
    this.#after(random.chance(0.1) ? random.int(500, 3_000) : random.int(10, 200), () => {
      if (!this.inRecovery) {
        this.data.wal.push({ timeline: timelineOf(this.data.wal), commit: null });
        for (const standby of this.followers()) standby.#append(this.data.wal, Infinity);
      }
      this.data.clean = true;
      this.#exit();
    });
  }

  #exit(): void {
    this.alive = false;
    this.receiver = null;
    this.#world.volume.forget(this);
    this.#world.trace(() => `postgres ${this.pid} of ${this.member} is gone${this.data.clean ? ', cleanly' : ''}`);
    for (const tell of this.onExit.splice(0)) tell();
  }
}
