/** Whether a member's upstream can be reached at all: who does not stream because of the network alone is not made anew. */
import { connect, type Socket } from 'node:net';
import type { ErrorReport } from '../../errors.ts';
import type { Endpoint } from '../model.ts';

/** Between looks, and until one is given up. */
const EVERY_MS = 1_000;
const ANSWER_MS = 1_000;

export class Reach {
  #of = '';
  #socket: Socket | null = null;
  #failure: string | null = null;
  #nextAt = 0;

  /** What the last look found; the next one is begun in the background when it is time. @param now ms of a clock that only goes on */
  look({ member, address, port }: Endpoint, now: number): ErrorReport | null {
    const of = `${address}:${port}`;
    if (of !== this.#of) {
      this.stop();
      this.#of = of;
    }
    if (this.#socket === null && now >= this.#nextAt) {
      this.#nextAt = now + EVERY_MS;
      this.#knock(address, port);
    }
    if (this.#failure === null) return null;
    return { code: 'host-unreachable', message: `${member} at ${of} can't be reached (${this.#failure})`, hint: 'its data are kept as they are; look at the network between the two hosts' };
  }

  /** Ends a look that is under way, and forgets what was found. */
  stop(): void {
    this.#socket?.destroy();
    this.#socket = null;
    this.#of = '';
    this.#failure = null;
    this.#nextAt = 0;
  }

  #knock(address: string, port: number): void {
    const socket = connect({ host: address, port });
    this.#socket = socket;
    const done = (failure: string | null): void => {
      socket.destroy();
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#failure = failure;
    };
    socket.setTimeout(ANSWER_MS, () => done(`no answer within ${ANSWER_MS} ms`));
    socket.once('connect', () => done(null));
    socket.once('error', (error) => done(error.message));
  }
}
