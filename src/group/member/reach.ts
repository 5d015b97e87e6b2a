/** Whether a member's upstream can be reached at all: who does not stream because of the network alone is not made anew. */
import { knock } from '../../engine/knock.ts';
import type { ErrorReport } from '../../errors.ts';
import type { Endpoint } from '../model.ts';

/** Between looks, and until one is given up. */
const EVERY_MS = 1_000;
const ANSWER_MS = 1_000;

export class Reach {
  #of = '';
  /** Ends the look that is under way. */
  #end: (() => void) | null = null;
  #failure: string | null = null;
  #nextAt = 0;

  /** What the last look found; the next one is begun in the background when it is time. @param now ms of a clock that only goes on */
  look({ member, address, port }: Endpoint, now: number): ErrorReport | null {
    const of = `${address}:${port}`;
    if (of !== this.#of) {
      this.stop();
      this.#of = of;
    }
    if (this.#end === null && now >= this.#nextAt) {
      this.#nextAt = now + EVERY_MS;
      this.#end = knock(address, port, ANSWER_MS, (failure) => {
        this.#end = null;
        this.#failure = failure;
      });
    }
    if (this.#failure === null) return null;
    return { code: 'host-unreachable', message: `${member} at ${of} can't be reached (${this.#failure})`, hint: 'its data are kept as they are; look at the network between the two hosts' };
  }

  /** Ends a look that is under way, and forgets what was found. */
  stop(): void {
    this.#end?.();
    this.#end = null;
    this.#of = '';
    this.#failure = null;
    this.#nextAt = 0;
  }
}
