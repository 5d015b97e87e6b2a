/**
 * The logger as a standby: follows one upstream in one term, stores what it sends, and acknowledges only what is
 * durable, on the upstream's own newest timeline, in a term that has not been promised away.
 */
import { PgorbitError, errnoOf } from '../../errors.ts';
import { sleep } from '../../lifecycle.ts';
import { ReplicationClient, isMissingFile, type ConnectOptions } from '../../wire/client.ts';
import { copyDone } from '../../wire/frontend.ts';
import { StatusMessage, parseSenderMessage } from '../../wire/replication.ts';
import { type TimelineHistory, switchpointOf, timelineSpans } from '../history.ts';
import { type Lsn, formatLsn, isSegmentSize, parseLsn, segmentStart } from '../lsn.ts';
import { Gather } from './gather.ts';
import type { WalStore } from './store.ts';

export interface Upstream extends Omit<ConnectOptions, 'timeoutMs' | 'memory'> {
  /** Acknowledgements belong to this term; `applicationName` carries it too (`n3@7`). */
  term: number;
  /** The upstream's slot, which keeps WAL there while this logger is away. */
  slot?: string | undefined;
}

export type ReceiverState = 'connecting' | 'catching-up' | 'streaming' | 'disk-full' | 'failed' | 'stopped';

export interface ReceiveOptions {
  connectTimeoutMs: number;
  /** Without a word from the upstream for this long, the connection is given up. */
  silenceMs: number;
  now: () => number;
}

/** The first tries after a loss are quick, because a new primary is about to open. */
const QUICK_TRIES = 200;
const QUICK_MS = 10;
const SLOW_MS = 250;
/** Room for the largest message of a WAL sender (MAX_SEND_SIZE, 128 kB) and what follows it: one read, one fsync. */
const READ_BYTES = 256 * 1024;

export class Receiver {
  readonly upstream: Upstream;
  readonly #store: WalStore;
  readonly #options: ReceiveOptions;
  readonly #abort = new AbortController();
  /** WAL is read to the same memory again and again: it is written to its file before the next read. */
  readonly #memory = Buffer.allocUnsafeSlow(READ_BYTES);
  /** As the signal says, which is dear to ask for every message. */
  #isCut = false;
  #client: ReplicationClient | null = null;
  #state: ReceiverState = 'connecting';
  #error: PgorbitError | null = null;
  /** When the upstream last said something, while it streams. */
  #heard = 0;
  #done: Promise<void> = Promise.resolve();

  constructor(store: WalStore, upstream: Upstream, options: ReceiveOptions) {
    this.#store = store;
    this.upstream = upstream;
    this.#options = options;
  }

  get state(): ReceiverState {
    return this.#state;
  }
  /** What went wrong last; null while it streams. */
  get error(): PgorbitError | null {
    return this.#error;
  }

  /** ms since the upstream last said something; null while it does not stream. */
  get heardMs(): number | null {
    return this.#state === 'streaming' ? Math.round(this.#options.now() - this.#heard) : null;
  }

  start(): void {
    this.#done = this.#run();
  }

  /** Cuts the connection at once: when this returns, no acknowledgement can be written any more. */
  cut(): void {
    this.#isCut = true;
    this.#abort.abort();
    this.#client?.destroy();
    this.#state = 'stopped';
  }

  async stop(): Promise<void> {
    this.cut();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        this.#store.rollBack();
        await this.#session();
        tries = 0;
      } catch (error) {
        if (signal.aborted) break;
        if (this.#state === 'streaming') tries = 0;
        this.#note(error);
      } finally {
        this.#client?.destroy();
        this.#client = null;
      }
      await sleep(tries < QUICK_TRIES && this.#state !== 'disk-full' ? QUICK_MS : SLOW_MS, signal);
    }
    this.#state = 'stopped';
  }

  #note(error: unknown): void {
    const full = errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT';
    this.#state = full ? 'disk-full' : error instanceof PgorbitError && error.code === 'host-unreachable' ? 'connecting' : 'failed';
    if (full) this.#error = new PgorbitError('volume-full', `no space for WAL in ${this.#store.dir}: nothing is acknowledged until there is`, { hint: 'make room there, or lower how much WAL is kept', cause: error });
    else this.#error = error instanceof PgorbitError ? error : new PgorbitError('operation-failed', `${this.#store.dir}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }

  /** One connection, from the handshake to its loss. */
  async #session(): Promise<void> {
    const { signal } = this.#abort;
    const client = await ReplicationClient.connect({ ...this.upstream, timeoutMs: this.#options.connectTimeoutMs, memory: this.#memory }, signal);
    this.#client = client;
    signal.throwIfAborted();
    const { timeline, position } = await this.#identify(client);
    const history = await this.#history(client, timeline);
    const store = this.#store;
    // What was lost with an earlier store was acknowledged by now: all of it lies before `position`.
    if (store.flushed === null || store.state.value.floor !== null) store.state.save({ floor: formatLsn(position) });
    if (store.flushed === null) store.begin(history, segmentStart(position, store.segmentSize));
    this.#reachFloor();
    this.#checkAncestry(history);
    for (;;) {
      signal.throwIfAborted();
      if (store.timeline === timeline) return await this.#stream(client, true);
      const left = switchpointOf(history, store.timeline)!;
      if (store.flushed! > left) store.truncate(left);
      this.#state = 'catching-up';
      if (store.flushed! < left) await this.#stream(client, false);
      if (store.flushed !== left) throw new PgorbitError('wal-invalid', `${client.where} ended timeline ${store.timeline} at ${formatLsn(store.flushed ?? 0n)}, and its history says ${formatLsn(left)}`);
      const next = timelineSpans(history).find((span) => span.begin === left && span.timeline > store.timeline)!.timeline;
      store.switchTimeline({ timeline: next, parents: history.parents.filter((parent) => parent.timeline < next) });
    }
  }

  /** Whose WAL is it? The first upstream decides, and no other is accepted from then on. */
  async #identify(client: ReplicationClient): Promise<{ timeline: number; position: Lsn }> {
    const [systemIdentifier, timelineText, position] = await oneRow(client, 'IDENTIFY_SYSTEM');
    const timeline = Number(timelineText);
    if (!systemIdentifier || !position || !Number.isInteger(timeline)) throw new PgorbitError('operation-failed', `${client.where} gave no answer to IDENTIFY_SYSTEM`);
    const { state } = this.#store;
    const serverVersion = client.parameters.get('server_version') ?? '';
    if (state.value.systemIdentifier === null) {
      const [size] = await oneRow(client, 'SHOW wal_segment_size');
      state.save({ systemIdentifier, segmentSize: parseSize(size ?? '', client.where), serverVersion });
    } else if (state.value.systemIdentifier !== systemIdentifier) {
      throw new PgorbitError('other-cluster', `${client.where} has the system identifier ${systemIdentifier}, and this logger keeps the WAL of ${state.value.systemIdentifier}`, { hint: 'name an upstream of the same group' });
    } else if (state.value.serverVersion !== serverVersion) {
      state.save({ serverVersion });
    }
    if (timeline < this.#store.timeline) {
      throw new PgorbitError('unsafe', `${client.where} is on timeline ${timeline}, and this logger already on ${this.#store.timeline}: it is a superseded primary`, { hint: 'follow the present primary' });
    }
    return { timeline, position: parseLsn(position) };
  }

  /** The history of the upstream's timeline, and what it has of all on the way: followers of this logger will ask for them. */
  async #history(client: ReplicationClient, timeline: number): Promise<TimelineHistory> {
    if (timeline === 1) return { timeline, parents: [] };
    const fetch = async (one: number): Promise<TimelineHistory> => {
      const [, text] = await oneRow(client, `TIMELINE_HISTORY ${one}`);
      return this.#store.saveHistory(one, text ?? '');
    };
    const history = await fetch(timeline);
    // Of timelines before its own copy a server has no file, unless it was given it.
    for (const { timeline: parent } of history.parents) {
      if (parent <= Math.max(1, this.#store.timeline) || this.#store.historyText(parent) !== null) continue;
      await fetch(parent).catch((error: unknown) => {
        if (!isMissingFile(error)) throw error;
      });
    }
    return history;
  }

  /** What was missing since the store was begun is here now. */
  #reachFloor(): void {
    const { state, flushed } = this.#store;
    const { floor } = state.value;
    if (floor !== null && flushed! >= parseLsn(floor)) state.save({ floor: null });
  }

  #checkAncestry(history: TimelineHistory): void {
    const own = this.#store.timeline;
    if (own !== history.timeline && switchpointOf(history, own) === null) {
      throw new PgorbitError('unsafe', `timeline ${own} of this logger is no ancestor of timeline ${history.timeline}`, { hint: 'remove the logger and add it again' });
    }
  }

  /** Streams the store's present timeline until it ends; a loss of the connection throws. */
  async #stream(client: ReplicationClient, acknowledge: boolean): Promise<void> {
    const store = this.#store;
    const slot = this.upstream.slot === undefined ? '' : `SLOT "${this.upstream.slot}" PHYSICAL `;
    const answer = await client.command(`START_REPLICATION ${slot}${formatLsn(store.flushed!)} TIMELINE ${store.timeline}`);
    if (answer.kind !== 'copy-both') return; // the timeline ends just here
    this.#heard = this.#options.now();
    const gathered = new Gather((start, data) => store.write(start, data));
    let status = new StatusMessage();
    let flushDue = false;
    /** Ended or failed: of what still lies here nothing is written, and nothing is acknowledged. */
    let over = false;
    const reply = (replyRequested = false): void => {
      if (over || this.#isCut) return;
      if (this.upstream.term < store.state.value.promisedTerm) return this.cut();
      const position = acknowledge ? store.flushed! : 0n;
      // Nothing is applied here: remote_apply has to wait for members that hold data, as with pg_receivewal.
      const taken = client.write(status.encode({ write: position, flush: position, apply: 0n, replyRequested }, this.#heard));
      if (!taken) status = new StatusMessage();
    };
    const flush = (): void => {
      if (this.#isCut) return;
      flushDue = false;
      store.flush();
      if (acknowledge && store.state.value.walTerm !== this.upstream.term) store.state.save({ walTerm: this.upstream.term });
      this.#reachFloor();
      reply();
    };
    await new Promise<void>((resolve, reject) => {
      const finish = (error?: unknown): void => {
        over = true;
        clearInterval(timer);
        if (error === undefined) resolve();
        else reject(error);
      };
      const guarded = (work: () => void): void => {
        if (over) return;
        try {
          work();
        } catch (error) {
          client.destroy();
          finish(error);
        }
      };
      const timer = setInterval(() => guarded(() => {
        const silent = this.#options.now() - this.#heard;
        if (silent > this.#options.silenceMs) throw new PgorbitError('host-unreachable', `${client.where} has been silent for ${Math.round(silent)} ms`);
        reply(silent > this.#options.silenceMs / 2);
      }), Math.min(1000, this.#options.silenceMs / 4));
      client.stream(({ type, payload }) => guarded(() => {
        this.#heard = this.#options.now();
        if (this.#isCut) return;
        if (type === 'c') {
          flushDue = false;
          gathered.write();
          store.flush();
          client.endStream();
          client.write(copyDone());
          return finish();
        }
        if (type !== 'd') throw new PgorbitError('operation-failed', `${client.where} sent a message of type "${type}" while streaming`);
        const message = parseSenderMessage(payload);
        if (message.kind === 'wal') {
          gathered.add(message.start, message.data);
          flushDue = true;
        } else if (message.replyRequested) {
          reply();
        }
      }), finish, (more) => {
        if (!flushDue || this.#isCut) return;
        guarded(() => gathered.write());
        // All that lies ready in the socket is taken in before the one fsync for it.
        if (!more) guarded(flush);
        else setImmediate(() => guarded(() => {
          if (flushDue) flush();
        }));
      });
      if (acknowledge) {
        this.#state = 'streaming';
        this.#error = null;
      }
      guarded(() => reply());
    });
    await client.afterStream();
  }
}

async function oneRow(client: ReplicationClient, command: string): Promise<(string | null)[]> {
  const answer = await client.command(command);
  return answer.kind === 'rows' ? (answer.rows[0] ?? []) : [];
}

/** `16MB`, `1GB`: how SHOW prints wal_segment_size. */
function parseSize(text: string, where: string): number {
  const match = /^(\d+)(MB|GB)$/.exec(text);
  const size = match ? Number(match[1]) * (match[2] === 'GB' ? 1 << 30 : 1 << 20) : 0;
  if (!isSegmentSize(size)) throw new PgorbitError('operation-failed', `${where} gave no usable wal_segment_size: "${text}"`);
  return size;
}
