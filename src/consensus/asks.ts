/** Questions to another agent, and their answers. */
import type { Clock } from './clock.ts';
import type { Answer } from './wire.ts';

interface Open {
  to: string;
  done: (answer: Answer | null) => void;
}

export class Asks {
  readonly #clock: Clock;
  readonly #prefix: string;
  readonly #open = new Map<string, Open>();
  #count = 0;

  /** @param prefix unique to this run of this agent: an answer to an earlier run's question means nothing now */
  constructor(clock: Clock, prefix: string) {
    this.#clock = clock;
    this.#prefix = prefix;
  }

  /** Resolves with the answer, or null when none came within `ms`: what was asked may have been done, or may yet be. */
  ask(to: string, ms: number, send: (id: string) => void): Promise<Answer | null> {
    this.#count += 1;
    const id = `${this.#prefix}.${this.#count}`;
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ms, () => this.#close(id, null));
      this.#open.set(id, {
        to,
        done: (answer) => {
          cancel();
          resolve(answer);
        },
      });
      send(id);
    });
  }

  answered(from: string, id: string, answer: Answer): void {
    if (this.#open.get(id)?.to === from) this.#close(id, answer);
  }

  /** Gives up on everyone but `host`. */
  giveUpExcept(host: string | null): void {
    for (const [id, { to }] of this.#open) if (to !== host) this.#close(id, null);
  }

  #close(id: string, answer: Answer | null): void {
    const open = this.#open.get(id);
    this.#open.delete(id);
    open?.done(answer);
  }
}
