import { setMaxListeners } from 'node:events';

/**
 * Everything that starts can be stopped, and is waited for: loops, timers and background promises belong to a
 * Lifecycle, and `stop()` returns when the last of them has ended.
 */
export class Lifecycle {
  readonly #controller = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #onError: (error: unknown, what: string) => void;

  /** @param onError is told of a background failure; it decides whether that is a log line or the end. */
  constructor(onError: (error: unknown, what: string) => void) {
    this.#onError = onError;
    // Every loop waits on it: more than ten are no leak.
    setMaxListeners(0, this.#controller.signal);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get stopping(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Runs `work` in the background; `stop()` waits for it, and an error goes to `onError`. */
  run(what: string, work: (signal: AbortSignal) => Promise<void>): void {
    if (this.stopping) return;
    const promise = work(this.signal)
      .catch((error: unknown) => {
        if (!this.stopping) this.#onError(error, what);
      })
      .finally(() => this.#running.delete(promise));
    this.#running.add(promise);
  }

  /** Repeats `work` with `ms` of rest between the end of one round and the start of the next. */
  every(ms: number, what: string, work: () => Promise<void> | void): void {
    this.run(what, async (signal) => {
      while (!signal.aborted) {
        try {
          await work();
        } catch (error) {
          if (!signal.aborted) this.#onError(error, what);
        }
        await sleep(ms, signal);
      }
    });
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await Promise.allSettled(this.#running);
  }
}

/** Resolves after `ms`, or at once when `signal` aborts: the caller looks at the signal. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** A wake-up call that is never lost: `wait` returns at once when `ring` came since the last `wait`. */
export class Bell {
  #rung = false;
  #waiter: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#waiter?.();
  }

  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    if (!this.#rung && !signal?.aborted) {
      const cut = new AbortController();
      this.#waiter = () => cut.abort();
      const forward = (): void => cut.abort();
      signal?.addEventListener('abort', forward, { once: true });
      await sleep(ms, cut.signal);
      signal?.removeEventListener('abort', forward);
      this.#waiter = undefined;
    }
    this.#rung = false;
  }
}
