/**
 * One postmaster on a data directory. What it becomes is decided by the directory, not by whoever started it: with
 * standby.signal it recovers and follows, without it recovers and accepts writes.
 */
import type { World } from '../world/world.ts';
import type { Data } from '../world/disks.ts';
import { Receiver } from './receiver.ts';
import { Server, type ServerOptions } from './server.ts';
import { Stream } from './stream.ts';
import { counts, SyncCommits } from './sync-commit.ts';
import { admits, segmentStart, timelineOf } from './wal.ts';

/** What of pgorbit.conf the model reads. */
export interface Conf {
  upstream: number | null;
  slot: string | null;
  name: string | null;
  synchronousNames: string;
}

export const NO_CONF: Conf = { upstream: null, slot: null, name: null, synchronousNames: '' };

const CONNECT_TIMEOUT_MS = 2_000;
const STATUS_MS = 1_000;

export class ModelPostgres extends Server {
  /** As the postmaster has read it: what a new connection sees. */
  conf: Conf;
  /** As the startup process has: it looks between two records, and not at all while a conflict holds it. */
  #startupConf: Conf;
  /** Replay stands still until then: a reader's query, or somebody paused it. */
  pausedUntil = 0;
  /** A smart stop waits for sessions. */
  smart = false;
  /** The folder whose pg_wal the restore script reads from, or null while it finds nothing. */
  readonly restoreFrom: () => Data | null;
  readonly commits: SyncCommits;
  /** Whoever reads its data without its WAL of the time reads on from here. */
  restartPoint = 0;
  #saidAt = 0;

  constructor(world: World, options: ServerOptions & { restoreFrom: () => Data | null }) {
    super(world, options);
    this.restoreFrom = options.restoreFrom;
    this.conf = JSON.parse(this.data.conf) as Conf;
    this.#startupConf = this.conf;
    this.commits = new SyncCommits(this, this.conf.synchronousNames);
    this.process.after(world.random.int(3, 40), () => this.#boot());
  }

  stop(mode: 'smart' | 'fast' | 'immediate'): void {
    if (!this.alive) return;
    if (mode === 'immediate') this.process.after(this.world.random.int(1, 10), () => this.kill());
    else this.process.deliver(() => this.#stopGently(mode));
  }

  #stopGently(mode: 'smart' | 'fast'): void {
    if (this.phase === 'booting' || this.phase === 'recovering') {
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

  session(change: 1 | -1): void {
    if (!this.alive || this.sessions + change < 0 || (change === 1 && this.phase !== 'ready')) return;
    this.sessions += change;
    if (this.smart && this.sessions === 0) this.#shutDown();
  }

  // ------------------------------------------------------------------ writing

  /** A transaction commits; `done` when PostgreSQL would tell the client so. */
  commit(number: number, done: () => void): void {
    const { wal } = this.data;
    wal.push({ timeline: timelineOf(wal), commit: number });
    this.commits.add(wal.length, done);
    this.flush();
  }

  protected override advanced(): void {
    if (this.inRecovery) this.receiver?.flushed();
    else this.commits.settle();
  }

  override heard(stream: Stream): void {
    if (!this.open) return;
    this.world.invariants.counted(this, this.streams.filter(counts));
    this.commits.heard(stream);
  }

  // ------------------------------------------------------------------ configuration

  /** SIGHUP: each process reads the files in its own time, the postmaster first. */
  reload(): void {
    const { random } = this.world;
    this.process.after(random.int(1, 8), () => {
      this.conf = JSON.parse(this.data.conf) as Conf;
      const { synchronousNames } = this.conf;
      for (const stream of this.streams) {
        this.process.after(random.int(0, 3), () => {
          stream.names = synchronousNames;
        });
      }
      this.process.after(random.int(0, 3), () => {
        if (this.open) this.commits.define(synchronousNames);
      });
    });
  }

  /** SIGTERM to the walreceiver. */
  endReceiver(): void {
    const { receiver } = this;
    if (receiver !== null) this.process.after(this.world.random.int(1, 8), () => receiver.end());
  }

  // ------------------------------------------------------------------ starting and promoting

  /** Port and shared memory are taken. What a crash left unflushed is flushed: SyncDataDirectory(). */
  #boot(): void {
    const { disks, random, invariants } = this.world;
    const other = disks.servers.find((server) => server !== this && server.alive && server.phase !== 'booting' && (server.folder === this.folder || server.port === this.port));
    if (other !== undefined) {
      this.exit();
      return;
    }
    invariants.serverStarts(this);
    this.phase = 'recovering';
    this.data.clean = false;
    this.process.after(random.int(30, 400), () => {
      this.phase = 'ready';
      this.data.flushed = this.data.wal.length;
      this.replayed = this.data.wal.length;
      this.restartPoint = this.data.wal.length;
      if (this.data.standbySignal) {
        this.data.torn = false;
        this.#recover();
      } else this.#open('recovered');
    });
  }

  /** It can't be asked to forget it. */
  promotionAsked = false;

  /** pg_promote(): what was received is replayed, then a new timeline begins: the first without a history file. */
  promote(): void {
    const { random, invariants } = this.world;
    this.promotionAsked = true;
    this.process.after(random.int(5, 60), () => {
      if (this.phase !== 'ready' || !this.inRecovery) return;
      this.receiver?.end();
      const { data } = this;
      const timeline = Math.max(timelineOf(data.wal), timelineOf(this.restoreFrom()?.wal ?? []), data.reserved) + 1;
      invariants.timelineMade(timeline, this.member);
      data.wal.push({ timeline, commit: null });
      data.flushed = data.wal.length;
      this.replayed = data.wal.length;
      data.standbySignal = false;
      this.commits.define(this.conf.synchronousNames);
      this.#open('promoted');
      this.spread();
    });
  }

  #open(how: string): void {
    this.inRecovery = false;
    this.data.torn = false;
    const { wal } = this.data;
    this.world.trace(() => `${this.member} accepts writes (${how}), timeline ${timelineOf(wal)}, WAL ${wal.length}, names ${this.conf.synchronousNames || 'none'}`);
    this.world.invariants.opened(this);
    this.#watchStreams();
  }

  #watchStreams(): void {
    for (const stream of this.streams) stream.checkSilence();
    this.process.after(STATUS_MS, () => this.#watchStreams());
  }

  // ------------------------------------------------------------------ recovering

  /** The startup process: streams from the upstream, or reads what the restore script finds; a little at a time. */
  #recover(): void {
    if (!this.inRecovery) return;
    const { random, clock } = this.world;
    for (const stream of this.streams) stream.checkSilence();
    if (this.phase === 'ready') {
      if (clock.now >= this.pausedUntil) this.#replay();
      this.#tend();
    }
    this.process.after(random.int(30, 120), () => this.#recover());
  }

  #replay(): void {
    const { data } = this;
    const { random } = this.world;
    this.#startupConf = this.conf;
    this.#restore();
    if (!random.chance(0.1)) this.replayed = Math.max(this.replayed, data.flushed);
    const { upstream, name } = this.#startupConf;
    if (this.receiver !== null && (this.receiver.port !== upstream || this.receiver.name !== name)) this.receiver.end();
    else if (this.receiver === null && upstream !== null) this.#connect(this.#startupConf);
  }

  #restore(): void {
    const restored = this.restoreFrom();
    const { data } = this;
    if (restored === null || admits(data.wal, restored.wal) !== 'ok') return;
    const end = Math.min(restored.wal.length, data.wal.length + this.world.random.int(1, 200));
    if (data.wal.length > 0 && data.wal.length <= restored.wal.length) this.world.invariants.continues(this.member, data.wal, restored.wal);
    for (let i = data.wal.length; i < end; i += 1) data.wal.push(restored.wal[i]!);
    data.flushed = data.wal.length;
  }

  /** The receiver's own watch: it says where it is, and gives up a silent upstream. */
  #tend(): void {
    const { receiver, world } = this;
    const stream = receiver?.stream;
    if (!receiver || !stream) return;
    if (stream.silentFor() > 5_000) receiver.end();
    else if (world.clock.now - this.#saidAt >= STATUS_MS) {
      this.#saidAt = world.clock.now;
      receiver.flushed();
    }
  }

  #connect(conf: Conf): void {
    const { world } = this;
    const receiver = new Receiver(this, conf.upstream!, conf.name ?? '');
    this.process.after(world.random.int(2, 12), () => {
      if (receiver.ended) return;
      const upstream = world.disks.listening(receiver.port);
      const silent = upstream !== undefined && (upstream.process.frozen || !world.network.linked(this.host, upstream.host));
      if (silent) this.process.after(CONNECT_TIMEOUT_MS, () => receiver.end());
      else if (upstream === undefined || upstream === this || upstream.phase !== 'ready' || !this.#served(upstream, conf.slot)) receiver.end();
      else this.#stream(receiver, upstream, conf);
    });
  }

  #served(upstream: Server, slot: string | null): boolean {
    const { length } = this.data.wal;
    // A slot is one walsender's at a time; a catch-up comes without.
    const free = slot === '' || (slot !== null && upstream.data.slots.has(slot) && !upstream.streams.some((stream) => stream.slot === slot));
    return free && length >= upstream.data.oldest && admits(this.data.wal, upstream.data.wal, upstream.data.flushed, segmentStart(length)) === 'ok';
  }

  #stream(receiver: Receiver, upstream: Server, conf: Conf): void {
    const from = Math.max(segmentStart(this.data.wal.length), upstream.data.oldest);
    const names = upstream instanceof ModelPostgres ? upstream.conf.synchronousNames : '';
    receiver.streams(new Stream(upstream, receiver, { name: receiver.name, slot: conf.slot, from, names }));
  }

  // ------------------------------------------------------------------ stopping

  /** A clean stop: the checkpoint at its end reaches every standby that streams. */
  #shutDown(): void {
    this.phase = 'stopping';
    this.commits.abandon();
    this.smart = false;
    const { random } = this.world;
    this.process.after(random.chance(0.1) ? random.int(500, 3_000) : random.int(10, 200), () => {
      const { wal } = this.data;
      if (!this.inRecovery) {
        wal.push({ timeline: timelineOf(wal), commit: null });
        this.data.flushed = wal.length;
        this.spread();
      }
      this.receiver?.end();
      this.#waitForStreams();
    });
  }

  #waitForStreams(): void {
    for (const stream of this.streams) stream.checkSilence();
    if (!this.inRecovery && this.streams.some((stream) => (stream.flushed ?? 0) < this.data.wal.length)) {
      this.process.after(20, () => this.#waitForStreams());
      return;
    }
    this.data.clean = true;
    this.exit();
  }
}
