/** What a postmaster and a logger have in common: a process on a host, WAL on a disk, streams to followers and from an upstream. */
import { SimProcess } from '../kernel/process.ts';
import type { World } from '../world/world.ts';
import type { Data, Folder } from '../world/disks.ts';
import type { Receiver } from './receiver.ts';
import type { Stream } from './stream.ts';

export type Phase = 'booting' | 'recovering' | 'ready' | 'stopping';

export interface ServerOptions {
  member: string;
  folder: Folder;
  port: number;
}

export abstract class Server {
  readonly world: World;
  readonly pid: number;
  readonly member: string;
  readonly host: string;
  readonly folder: Folder;
  readonly data: Data;
  readonly port: number;
  readonly process: SimProcess;
  phase: Phase = 'booting';
  inRecovery = true;
  sessions = 0;
  replayed = 0;
  receiver: Receiver | null = null;
  /** Its walsenders, those included whose follower has gone without a word. Never changed in place. */
  streams: readonly Stream[] = [];
  readonly onExit: (() => void)[] = [];
  #flushing = false;

  constructor(world: World, options: ServerOptions) {
    const { folder } = options;
    if (folder.data === null) throw new Error('no data to start on');
    this.world = world;
    this.pid = world.nextPid();
    this.member = options.member;
    this.host = folder.host;
    this.folder = folder;
    this.data = folder.data;
    this.port = options.port;
    this.process = new SimProcess(world.clock, `${options.member}:${this.pid}`);
    world.disks.servers.push(this);
  }

  get alive(): boolean {
    return this.process.alive;
  }

  /** It accepts writes. A server that is being stopped has sent its clients away. */
  get open(): boolean {
    return this.alive && !this.inRecovery && this.phase !== 'stopping';
  }

  /** It answers a connection at this moment. */
  get answers(): boolean {
    return this.alive && this.phase === 'ready' && !this.process.frozen;
  }

  abstract stop(mode: 'smart' | 'fast' | 'immediate'): void;
  /** What it does when more of its WAL is durable. */
  protected abstract advanced(): void;
  /** A follower has said what it has. */
  abstract heard(stream: Stream): void;
  /** A client's session begins or ends. */
  abstract session(change: 1 | -1): void;

  /** SIGKILL to all of it: what was written stays written. */
  kill(): void {
    if (!this.alive) return;
    if (!this.inRecovery) this.data.torn = true;
    this.data.clean = false;
    this.exit();
  }

  /** An fsync of all that is written now, unless one is under way; what came meanwhile gets the next one. */
  flush(): void {
    if (this.#flushing || !this.alive || this.data.flushed >= this.data.wal.length) return;
    this.#flushing = true;
    const end = this.data.wal.length;
    this.process.after(this.world.fsyncMs(this.host), () => {
      this.#flushing = false;
      if (this.world.disksFull.has(this.member)) {
        this.process.after(200, () => this.flush());
        return;
      }
      this.data.flushed = Math.max(this.data.flushed, Math.min(end, this.data.wal.length));
      this.spread();
      this.advanced();
      this.flush();
    });
  }

  /** Sends followers what is durable: nothing else ever leaves. */
  spread(): void {
    for (const stream of this.streams) stream.pump();
  }

  /** @param silently without a word to the peers: the host has no power. */
  exit(silently = false): void {
    this.process.kill();
    this.receiver?.end(silently);
    for (const stream of this.streams) stream.closeBySender(silently);
    this.world.disks.forget(this);
    this.world.trace(() => `${this.member}'s process ${this.pid} is gone${this.data.clean ? ', cleanly' : ''}`);
    for (const tell of this.onExit.splice(0)) tell();
  }
}
