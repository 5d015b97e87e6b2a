/**
 * Waits until everything that was committed before the call is applied here. Calls that come while a question is under
 * way share the next one: the one under way may have been answered in the leader's mind before they came.
 */
import type { Clock } from './clock.ts';
import type { Driver } from './driver.ts';

interface Batch {
  promise: Promise<boolean>;
  done: (answered: boolean) => void;
}

export class ReadBarrier {
  readonly #driver: Pick<Driver, 'readIndex' | 'forget'>;
  readonly #clock: Clock;
  readonly #prefix: string;
  readonly #timeoutMs: number;
  #next: Batch | null = null;
  #asking: { context: string; giveUp: () => void } | null = null;
  #count = 0;
  #stopped = false;

  constructor(driver: Pick<Driver, 'readIndex' | 'forget'>, clock: Clock, prefix: string, timeoutMs: number) {
    this.#driver = driver;
    this.#clock = clock;
    this.#prefix = prefix;
    this.#timeoutMs = timeoutMs;
  }

  /** True when it is so; false when nobody answered in time, and the caller may try again. */
  pass(): Promise<boolean> {
    if (this.#stopped) return Promise.resolve(false);
    this.#next ??= newBatch();
    const { promise } = this.#next;
    if (this.#asking === null) this.#ask();
    return promise;
  }

  /** What is under way will not be answered: the leader has changed. */
  giveUp(): void {
    this.#asking?.giveUp();
  }

  stop(): void {
    this.#stopped = true;
    this.#next?.done(false);
    this.#next = null;
    this.giveUp();
  }

  #ask(): void {
    const batch = this.#next;
    this.#next = null;
    if (batch === null) return;
    this.#count += 1;
    const context = `${this.#prefix}.${this.#count}`;
    const end = (answered: boolean): void => {
      if (this.#asking?.context !== context) return;
      cancel();
      this.#driver.forget(context);
      this.#asking = null;
      batch.done(answered);
      this.#ask();
    };
    const cancel = this.#clock.after(this.#timeoutMs, () => end(false));
    this.#asking = { context, giveUp: () => end(false) };
    this.#driver.readIndex(context, () => end(true));
  }
}

function newBatch(): Batch {
  let done!: (answered: boolean) => void;
  const promise = new Promise<boolean>((resolve) => {
    done = resolve;
  });
  return { promise, done };
}
