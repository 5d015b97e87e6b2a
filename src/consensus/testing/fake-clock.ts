/** Time that passes only when told to; what is due runs in order, and everything that follows from it before the next. */
import type { Clock } from '../clock.ts';

interface Timer {
  at: number;
  order: number;
  work: () => void;
  owner: string;
}

export class FakeClock {
  #now = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();
  readonly #frozen = new Set<string>();

  /** Hears of every timer that fires. */
  onTimer: () => void = () => undefined;

  now(): number {
    return this.#now;
  }

  /** A view for `owner`, whose timers can be frozen while time goes on, as those of a stopped process. */
  for(owner: string): Clock {
    return {
      now: () => this.#now,
      after: (ms, work) => {
        this.#order += 1;
        const timer = { at: this.#now + ms, order: this.#order, work, owner };
        this.#timers.add(timer);
        return () => this.#timers.delete(timer);
      },
    };
  }

  freeze(owner: string): void {
    this.#frozen.add(owner);
  }

  thaw(owner: string): void {
    this.#frozen.delete(owner);
  }

  /** Lets `ms` pass; `each` is called after everything that happened at one moment. */
  async advance(ms: number, each: () => void = () => {}): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settled();
      each();
      const next = [...this.#timers].filter(({ owner }) => !this.#frozen.has(owner)).sort((a, b) => a.at - b.at || a.order - b.order)[0];
      if (next === undefined || next.at > end) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      this.onTimer();
      next.work();
    }
    this.#now = end;
    await settled();
    each();
  }
}

/** When promises that depend on no timer have had their turn. */
const settled = (): Promise<void> => new Promise((resolve) => {
  setImmediate(resolve);
});
