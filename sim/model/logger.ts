/**
 * A logger's process: src/wal/logger of the model. It stores WAL, acknowledges and serves what it has flushed, and keeps
 * its promises itself. It follows nobody before it is told to, after a restart neither.
 */
import { StepError } from '../kernel/violation.ts';
import type { Data } from '../world/disks.ts';
import type { World } from '../world/world.ts';
import { Receiver } from './receiver.ts';
import { ModelPostgres } from './postgres.ts';
import { Server, type ServerOptions } from './server.ts';
import { Stream } from './stream.ts';
import { admits, segmentStart, timelineOf } from './wal.ts';

export interface LoggerUpstream {
  port: number;
  name: string;
  slot: string | null;
  term: number;
}

export class ModelLogger extends Server {
  upstream: LoggerUpstream | null = null;

  constructor(world: World, options: ServerOptions) {
    super(world, options);
    this.process.after(world.random.int(5, 60), () => this.#boot());
  }

  stop(): void {
    this.process.deliver(() => this.process.after(this.world.random.int(1, 20), () => {
      this.data.clean = true;
      this.exit();
    }));
  }

  override session(): void {}
  override heard(): void {}

  /** After this no acknowledgement of a lower term can leave. @throws where a higher one was promised. */
  promise(term: number): void {
    const { state } = this;
    if (term < state.promised) throw new StepError('unsafe', `${this.member} has promised to term ${state.promised}, above ${term}`);
    if (this.world.disksFull.has(this.member) && term > state.promised) throw new StepError('volume-full', `${this.member} has no room for a promise`);
    this.data.logger = { ...state, promised: term, promisedDurably: this.world.rules.promiseDurable ? term : state.promisedDurably };
    if (this.world.rules.promiseCuts && this.upstream !== null && this.upstream.term < term) {
      this.upstream = null;
      this.receiver?.end();
    }
  }

  follow(upstream: LoggerUpstream): void {
    this.promise(upstream.term);
    this.receiver?.end();
    this.upstream = upstream;
  }

  get state(): NonNullable<Data['logger']> {
    return this.data.logger ?? { promised: 0, promisedDurably: 0, walTerm: 0 };
  }

  protected override advanced(): void {
    this.replayed = this.data.flushed;
    const term = this.upstream?.term ?? 0;
    if (term !== 0 && this.state.walTerm !== term) this.data.logger = { ...this.state, walTerm: term };
    this.receiver?.flushed();
  }

  #boot(): void {
    const { disks } = this.world;
    const other = disks.servers.find((server) => server !== this && server.alive && server.phase !== 'booting' && (server.folder === this.folder || server.port === this.port));
    if (other !== undefined) {
      this.exit();
      return;
    }
    this.phase = 'ready';
    this.data.clean = false;
    this.data.flushed = this.data.wal.length;
    this.replayed = this.data.flushed;
    this.#tend();
  }

  #tend(): void {
    const { random, disksFull } = this.world;
    for (const stream of this.streams) stream.checkSilence();
    const { receiver } = this;
    if (receiver?.stream && receiver.stream.silentFor() > 5_000) receiver.end();
    else if (receiver?.stream) receiver.flushed();
    else if (receiver === null && this.upstream !== null && !disksFull.has(this.member)) this.#connect(this.upstream);
    this.process.after(random.int(50, 250), () => this.#tend());
  }

  #connect(to: LoggerUpstream): void {
    const { world } = this;
    const receiver = new Receiver(this, to.port, to.name);
    this.process.after(world.random.int(2, 12), () => {
      if (receiver.ended) return;
      const upstream = world.disks.listening(to.port);
      const silent = upstream !== undefined && (upstream.process.frozen || !world.network.linked(this.host, upstream.host));
      if (silent) this.process.after(2_000, () => receiver.end());
      else if (upstream === undefined || upstream.phase !== 'ready' || !this.#fits(upstream, to)) receiver.end();
      else {
        const names = upstream instanceof ModelPostgres ? upstream.conf.synchronousNames : '';
        const from = segmentStart(this.data.wal.length);
        receiver.streams(new Stream(upstream, receiver, { name: to.name, slot: world.rules.slotForLoggers ? to.slot : null, from: Math.max(from, upstream.data.oldest), names }));
      }
    });
  }

  /** Its WAL fits under the upstream's, after what lies behind the fork is cut off. */
  #fits(upstream: Server, to: LoggerUpstream): boolean {
    const { data, world } = this;
    const source = upstream.data;
    if (to.slot !== null && world.rules.slotForLoggers && (!source.slots.has(to.slot) || upstream.streams.some((stream) => stream.slot === to.slot))) return false;
    if (data.wal.length === 0) {
      // The first WAL ever: from the start of the upstream's present segment.
      const start = segmentStart(source.flushed);
      data.wal.push(...source.wal.slice(0, start));
      data.flushed = start;
      data.oldest = start;
      return true;
    }
    if (data.wal.length < source.oldest) return false;
    const fit = admits(data.wal, source.wal, source.flushed);
    if (fit !== 'forked') return fit === 'ok';
    const own = timelineOf(data.wal);
    const fork = source.wal.findIndex((record) => record.timeline > own);
    if (fork < 0 || !source.wal.some((record) => record.timeline === own)) return false;
    world.invariants.truncated(this.folder, fork, this.member);
    data.wal.length = Math.min(data.wal.length, fork);
    data.flushed = data.wal.length;
    // From the fork on, which the upstream may not have any more.
    return data.wal.length >= source.oldest;
  }
}
