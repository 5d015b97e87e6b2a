/**
 * One connection of two agents, whoever opened it: frames both ways. It ends once, with a reason; then the socket is
 * gone. What is sent in one go leaves as one frame.
 */
import type { Socket } from 'node:net';
import { FRAME_LIMIT, FrameReader, frameOf } from './stream-frames.ts';
import { itemsIn, type Item } from './stream-items.ts';
import type { Outbox } from './stream-outbox.ts';

/** After this long without a word from here, one is sent. ms */
const ALIVE_MS = 1_000;
/** A peer of which nothing comes for this long is gone: it would have sent `alive` by then. ms */
const DEAD_MS = 3_000;

export interface ConnectionOptions {
  peer: string;
  /** After the upgrade, and what came with it. */
  socket: Socket;
  head: Buffer;
  outbox: Outbox;
  /** ms, monotonic */
  now: () => number;
  /** Must not throw. `alone`: nothing else came with it. */
  onItem: (item: Item, alone: boolean) => void;
}

export class StreamConnection {
  /** Resolves with the reason when it is over. */
  readonly ended: Promise<string>;
  readonly #options: ConnectionOptions;
  readonly #reader = new FrameReader();
  #end!: (reason: string) => void;
  #over = false;
  #heardAt: number;
  #sentAt: number;
  #heard = false;
  #flushing = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#heardAt = options.now();
    this.#sentAt = options.now();
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    const { socket, head } = options;
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.on('error', (error) => this.close(error.message));
    socket.on('close', () => this.close('the other side closed it'));
    socket.on('end', () => this.close('the other side closed it'));
    socket.on('drain', () => this.#flush());
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    if (head.length > 0) this.#read(head);
    if (!options.outbox.empty) this.flush();
  }

  /** Has the peer said anything on it? */
  get heard(): boolean {
    return this.#heard;
  }

  /** Sends what waits, once whoever is at work now has said everything: as a microtask, which costs no turn of the event loop. */
  flush(): void {
    if (this.#flushing || this.#over) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** To be called a few times in DEAD_MS. @param late this process itself stood still: what the peer sent meanwhile is yet to be read. */
  check(late: boolean): void {
    const { now, outbox } = this.#options;
    if (late) this.#heardAt = now();
    if (now() - this.#heardAt >= DEAD_MS) return this.close(`nothing came from it for ${DEAD_MS / 1000} s`);
    if (now() - this.#sentAt < ALIVE_MS) return;
    outbox.alive(now());
    this.flush();
  }

  close(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.socket.destroy();
    this.#end(reason);
  }

  #flush(): void {
    const { socket, outbox, now } = this.#options;
    while (!this.#over && !outbox.empty && !socket.writableNeedDrain) {
      const items = outbox.take(now());
      if (items.length === 0) continue;
      const frame = frameOf(items);
      // It would end the connection there, again and again.
      if (frame.length > FRAME_LIMIT) return this.close(`what it is to be told takes more than ${FRAME_LIMIT} bytes`);
      socket.write(frame);
      this.#sentAt = now();
    }
  }

  #read(chunk: Buffer): void {
    if (this.#over) return;
    this.#heardAt = this.#options.now();
    this.#heard = true;
    try {
      for (const frame of this.#reader.push(chunk)) {
        const items = itemsIn(frame, this.#options.peer);
        for (const item of items) this.#options.onItem(item, items.length === 1);
      }
    } catch (error) {
      this.close(`it makes no sense: ${(error as Error).message}`);
    }
  }
}
