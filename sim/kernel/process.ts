/**
 * Processes of the simulation. Their work is written as generators that yield what they wait for, so a process can
 * be killed (kill -9: nothing of it runs any more, no cleanup either) or frozen (SIGSTOP) at every such point.
 */
import type { Clock } from './clock.ts';

/** Waiting for `ms`, or less when one of the others calls. */
export interface Wait {
  ms: number;
  bell?: SimBell;
  signal?: SimSignal;
}

export type Work<T = void> = Generator<Wait, T, void>;

/** As lifecycle.ts has it: a ring is never lost. */
export class SimBell {
  rung = false;
  waiter: (() => void) | null = null;

  ring(): void {
    this.rung = true;
    this.waiter?.();
  }
}

/** An AbortSignal without events of its own. */
export class SimSignal {
  aborted = false;
  waiter: (() => void) | null = null;

  abort(): void {
    this.aborted = true;
    this.waiter?.();
  }
}

export class SimProcess {
  readonly name: string;
  alive = true;
  #frozenAt: number | null = null;
  readonly #clock: Clock;
  #attentiveSince: number;
  #held: (() => void)[] = [];

  constructor(clock: Clock, name: string) {
    this.#clock = clock;
    this.name = name;
    this.#attentiveSince = clock.now;
  }

  kill(): void {
    this.alive = false;
    this.#held = [];
  }

  freeze(): void {
    this.#frozenAt ??= this.#clock.now;
  }

  get frozen(): boolean {
    return this.#frozenAt !== null;
  }

  /** ms; 0 while it runs. */
  frozenFor(): number {
    return this.#frozenAt === null ? 0 : this.#clock.now - this.#frozenAt;
  }

  /** How long it has run without a pause, ms; 0 while it does not. */
  attentiveFor(): number {
    return this.alive && !this.frozen ? this.#clock.now - this.#attentiveSince : 0;
  }

  thaw(): void {
    if (!this.frozen) return;
    this.#frozenAt = null;
    this.#attentiveSince = this.#clock.now;
    const held = this.#held;
    this.#held = [];
    for (const run of held) this.#clock.after(0, () => this.deliver(run));
  }

  /** Something reaches the process from outside: lost when it is dead, kept while it is frozen. */
  deliver(run: () => void): void {
    if (!this.alive) return;
    if (this.frozen) this.#held.push(run);
    else run();
  }

  /** `run` after `ms`, as a timer of this process. */
  after(ms: number, run: () => void): void {
    this.#clock.after(ms, () => this.deliver(run));
  }

  /** Runs `work` to its end. What it throws is thrown out of the clock: work that may fail catches by itself. */
  run(work: Work): void {
    const step = (): void => {
      const { done, value } = work.next();
      if (!done) this.#wait(value, step);
    };
    this.deliver(step);
  }

  #wait(wait: Wait, resume: () => void): void {
    let waiting = true;
    const wake = (): void => {
      if (!waiting) return;
      waiting = false;
      if (wait.bell) wait.bell.waiter = null;
      if (wait.signal) wait.signal.waiter = null;
      resume();
    };
    if (wait.bell) wait.bell.waiter = () => this.after(0, wake);
    if (wait.signal) wait.signal.waiter = () => this.after(0, wake);
    this.after(wait.bell?.rung || wait.signal?.aborted ? 0 : wait.ms, wake);
  }
}

export function* sleep(ms: number, signal?: SimSignal): Work {
  yield signal === undefined ? { ms } : { ms, signal };
}

export function* waitFor(bell: SimBell, ms: number): Work {
  if (!bell.rung) yield { ms, bell };
  bell.rung = false;
}
