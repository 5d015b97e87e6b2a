/** One logger: its store, the upstream it follows, the followers it serves, its promises, its purging. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PgorbitError } from '../../errors.ts';
import { Bell, Lifecycle } from '../../lifecycle.ts';
import type { ServerAuth } from '../../wire/server.ts';
import { formatLsn, parseLsn, type Lsn } from '../lsn.ts';
import { type PurgeRules, decidePurge } from './purge.ts';
import { Receiver, type ReceiverState, type Upstream } from './receive.ts';
import { type FollowerStatus, type SendSettings, WalServer } from './serve.ts';
import { Slots } from './slots.ts';
import { DurableState } from './state.ts';
import { WalStore } from './store.ts';
import type { ErrorReport } from '../../errors.ts';

/** What `configure` changes while the logger runs. */
export interface LoggerTunables extends SendSettings {
  purge: PurgeRules & { everyMs: number };
}

export interface LoggerOptions extends LoggerTunables {
  /** The logger's folder: `state` and `wal/` in it. */
  dir: string;
  host: string;
  /** 0 takes any free port. */
  port: number;
  auth: ServerAuth;
  /** Segments kept for use again: overwriting is faster than growing. 0: none, and none is made ahead either. */
  spares: number;
  connectTimeoutMs: number;
  /** An upstream that says nothing for this long is given up, like wal_receiver_timeout. */
  silenceMs: number;
  log: (level: 'info' | 'warn' | 'error', text: string) => void;
}

export const LOGGER_DEFAULTS = {
  auth: { users: null },
  purge: { enabled: true, keepBytes: 1 << 30, keepMs: 15 * 60_000, maxBytes: 8 * (1 << 30), everyMs: 10_000 },
  // packetBytes as MAX_SEND_SIZE of walsender.c.
  spares: 8, keepaliveMs: 2000, timeoutMs: 60_000, packetBytes: 128 * 1024, connectTimeoutMs: 5000, silenceMs: 60_000,
} as const;

/** A voter's answer to a new term: what it has, and that no acknowledgement of an older term can follow. */
export interface Promised {
  term: number;
  /** The term under which the newest WAL was accepted, its timeline, and the end of what is durable; null: no WAL. */
  walTerm: number;
  timeline: number;
  flushed: string | null;
}

export interface LoggerStatus extends Promised {
  pid: number;
  port: number;
  systemIdentifier: string | null;
  serverVersion: string;
  segmentSize: number;
  /** The first position that is still here. */
  oldest: string | null;
  bytes: number;
  rss: number;
  upstream: { host: string; port: number; term: number; applicationName: string; slot: string | null; state: ReceiverState; heardMs: number | null; error: ErrorReport | null } | null;
  followers: FollowerStatus[];
}

export class Logger {
  readonly #options: LoggerOptions;
  /** Rung when the time between purges has changed. */
  readonly #purging = new Bell();
  readonly #state: DurableState;
  readonly #store: WalStore;
  readonly #server: WalServer;
  readonly #slots: Slots;
  readonly #life: Lifecycle;
  #port = 0;
  #receiver: Receiver | null = null;
  /** One receiver at a time writes to the store: changes of upstream wait for each other. */
  #turn: Promise<void> = Promise.resolve();
  /** What members and archive need, as the agent last said; null until it has. */
  #holds: Lsn[] | null = null;

  private constructor(options: LoggerOptions, state: DurableState, store: WalStore) {
    this.#options = { ...options };
    this.#state = state;
    this.#store = store;
    this.#slots = new Slots(store);
    this.#server = new WalServer(store, this.#slots, { host: options.host, port: options.port, auth: options.auth, settings: sendSettings(options), now: monotonicNow });
    this.#life = new Lifecycle((error, what) => options.log('error', `${what}: ${error instanceof Error ? error.message : String(error)}`));
  }

  /** Opens the folder, makes its WAL durable, and serves. It follows nobody before `follow`. */
  static async start(options: LoggerOptions): Promise<Logger> {
    mkdirSync(join(options.dir, 'wal'), { recursive: true, mode: 0o700 });
    const state = DurableState.open(join(options.dir, 'state'));
    const store = await WalStore.open(join(options.dir, 'wal'), state, { maxSpares: options.spares });
    const logger = new Logger(options, state, store);
    logger.#port = await logger.#server.listen();
    logger.#life.run('purging', (signal) => logger.#purgeLoop(signal));
    logger.#life.run('making segments ahead', (signal) => store.spares.keepReady(() => store.segmentSize, signal, (error) => options.log('warn', `making a segment ahead: ${(error as Error).message}`)));
    options.log('info', `listening on ${options.host}:${logger.#port}, WAL to ${store.flushed === null ? 'nothing yet' : formatLsn(store.flushed)} on timeline ${store.timeline}`);
    return logger;
  }

  get port(): number {
    return this.#port;
  }

  /**
   * Promises not to acknowledge anything of a lower term. The order makes it true: the promise is durable, then the
   * upstream of an older term is cut, and only then is the position read.
   * Throws PgorbitError `unsafe` when a higher term has been promised already, and, with the promise made, when this
   * logger began anew and has not caught up since: its position is then no witness of what its predecessor acknowledged.
   */
  promise(term: number): Promised {
    this.#promise(term);
    const { floor } = this.#state.value;
    if (floor !== null) {
      throw new PgorbitError('unsafe', `this logger began anew and does not yet have what its upstream had then (to ${floor}): its position must not count`, { hint: 'it counts once it has caught up with a primary' });
    }
    return { ...this.#position(), timeline: this.#store.arrivedOn };
  }

  #promise(term: number): void {
    const { promisedTerm } = this.#state.value;
    if (!Number.isSafeInteger(term) || term < 1) throw new PgorbitError('usage', `${term} is not a term`);
    if (term < promisedTerm) throw new PgorbitError('unsafe', `this logger has promised to term ${promisedTerm}, above ${term}`);
    if (term > promisedTerm) this.#state.save({ promisedTerm: term });
    if (this.#receiver && this.#receiver.upstream.term < term) {
      this.#receiver.cut();
      this.#options.log('info', `promised to term ${term}; no longer following ${this.#receiver.upstream.host}:${this.#receiver.upstream.port} of term ${this.#receiver.upstream.term}`);
    }
  }

  /** Follows an upstream of a term that is not below the promised one, in place of any other. */
  async follow(upstream: Upstream): Promise<void> {
    const turn = this.#turn.then(() => this.#follow(upstream));
    this.#turn = turn.catch(() => {}); // told to the caller, not to whoever comes next
    await turn;
  }

  async #follow(upstream: Upstream): Promise<void> {
    this.#checkTerm(upstream.term);
    this.#promise(upstream.term);
    await this.#receiver?.stop();
    this.#checkTerm(upstream.term); // another promise may have come while the old connection ended
    if (this.#life.stopping) return;
    const { connectTimeoutMs, silenceMs } = this.#options;
    this.#receiver = new Receiver(this.#store, upstream, { connectTimeoutMs, silenceMs, now: monotonicNow });
    this.#receiver.start();
    this.#options.log('info', `following ${upstream.host}:${upstream.port} in term ${upstream.term}`);
  }

  #checkTerm(term: number): void {
    const { promisedTerm } = this.#state.value;
    if (term < promisedTerm) throw new PgorbitError('unsafe', `this logger has promised to term ${promisedTerm} and cannot follow a primary of term ${term}`);
  }

  /** What members and archive still need, as positions; null, as before the first call: not known, nothing is purged. */
  setHolds(holds: string[] | null): void {
    this.#holds = holds?.map(parseLsn) ?? null;
  }

  /** Settings that take effect at once, with no connection lost. */
  configure(tunables: LoggerTunables): void {
    Object.assign(this.#options, tunables);
    this.#server.configure(sendSettings(tunables));
    this.#purging.ring();
  }

  async #purgeLoop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.purge();
      } catch (error) {
        this.#options.log('error', `purging: ${error instanceof Error ? error.message : String(error)}`);
      }
      await this.#purging.wait(this.#options.purge.everyMs, signal);
    }
  }

  /** Purges by the rules now; returns the names of what went. */
  purge(): string[] {
    if (this.#store.flushed === null) return [];
    const { everyMs: _, ...rules } = this.#options.purge;
    const names = decidePurge({
      segments: this.#store.segments(), segmentSize: this.#store.segmentSize, flushed: this.#store.flushed, rules,
      holds: [...(this.#holds ?? []), ...this.#slots.holds(), ...this.#server.holds()], holdsKnown: this.#holds !== null, nowMs: Date.now(),
    });
    this.#store.remove(names);
    return names;
  }

  status(): LoggerStatus {
    const { systemIdentifier, serverVersion, segmentSize } = this.#state.value;
    const segments = this.#store.segments();
    const receiver = this.#receiver;
    return {
      ...this.#position(), pid: process.pid, port: this.#port, systemIdentifier, serverVersion, segmentSize,
      oldest: segments[0] ? formatLsn(segments[0].start) : null,
      bytes: segments.length * segmentSize,
      rss: process.memoryUsage.rss(),
      upstream: receiver && { host: receiver.upstream.host, port: receiver.upstream.port, term: receiver.upstream.term, applicationName: receiver.upstream.applicationName, slot: receiver.upstream.slot ?? null, state: receiver.state, heardMs: receiver.heardMs, error: receiver.error?.toReport() ?? null },
      followers: this.#server.followers(),
    };
  }

  async stop(): Promise<void> {
    await this.#life.stop();
    await this.#turn;
    await this.#receiver?.stop();
    await this.#server.stop();
    this.#store.close();
  }

  #position(): Promised {
    const { promisedTerm, walTerm } = this.#state.value;
    return { term: promisedTerm, walTerm, timeline: this.#store.timeline, flushed: this.#store.flushed === null ? null : formatLsn(this.#store.flushed) };
  }
}

function sendSettings({ keepaliveMs, timeoutMs, packetBytes }: SendSettings): SendSettings {
  return { keepaliveMs, timeoutMs, packetBytes };
}

/** Milliseconds that no change of the wall clock touches; as of some moment that means nothing. */
function monotonicNow(): number {
  return performance.now();
}
