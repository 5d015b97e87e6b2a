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

  /**
   * Repeats `work` with about `ms` of rest between the end of one round and the start of the next.
   * @param woken begins the next round at once; while `work` returns false none begins without it
   */
  every(ms: number, what: string, work: () => Promise<unknown> | unknown, woken: Bell = new Bell()): void {
    this.run(what, async (signal) => {
      while (!signal.aborted) {
        let again: unknown = true;
        try {
          again = await work();
        } catch (error) {
          if (!signal.aborted) this.#onError(error, what);
        }
        await woken.wait(again === false ? Infinity : inStep(ms), signal);
      }
    });
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await Promise.allSettled(this.#running);
  }
}

const STEP_MS = 500;

/**
 * About `ms`, such that all rests that are no shorter than half a second end at the same moments: each by itself would wake
 * an idle process. No more than a quarter of a second less or more.
 */
export function inStep(ms: number, now: number = performance.now()): number {
  return ms < STEP_MS ? ms : Math.round((now + ms) / STEP_MS) * STEP_MS - now;
}

/** Resolves after `ms` (Infinity: never by itself), or at once when `signal` aborts: the caller looks at the signal. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    restThen(resolve, ms, signal);
  });
}

/** @returns ends the rest at once. `done` is called once. */
function restThen(done: () => void, ms: number, signal: AbortSignal | undefined): () => void {
  const end = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', end);
    done();
  };
  // setTimeout takes whole ms, drops what is beyond, and does not know Infinity.
  const timer = ms === Infinity ? undefined : setTimeout(end, Math.ceil(ms));
  signal?.addEventListener('abort', end, { once: true });
  return end;
}

/** A wake-up call that is never lost: `wait` returns at once when `ring` came since the last `wait`. */
export class Bell {
  #rung = false;
  #waiter: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#waiter?.();
  }

  /** @param ms Infinity: until it rings */
  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    if (!this.#rung && !signal?.aborted) {
      await new Promise<void>((resolve) => {
        this.#waiter = restThen(() => {
          this.#waiter = undefined;
          resolve();
        }, ms, signal);
      });
    }
    this.#rung = false;
  }
}
