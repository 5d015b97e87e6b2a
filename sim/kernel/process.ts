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

/** Whoever waits for a bell or a signal. */
interface Waiter {
  called(): void;
}

/** As lifecycle.ts has it: a ring is never lost. */
export class SimBell {
  rung = false;
  waiter: Waiter | null = null;

  ring(): void {
    this.rung = true;
    this.waiter?.called();
  }
}

/** An AbortSignal without events of its own. */
export class SimSignal {
  aborted = false;
  waiter: Waiter | null = null;

  abort(): void {
    this.aborted = true;
    this.waiter?.called();
  }
}

/** What reached a process that stood still. */
interface Held {
  run: (turn: number) => void;
  turn: number;
}

export class SimProcess {
  readonly name: string;
  alive = true;
  #frozenAt: number | null = null;
  readonly #clock: Clock;
  #attentiveSince: number;
  #held: Held[] = [];

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
    for (const { run, turn } of held) this.after(0, run, turn);
  }

  /** Something reaches the process from outside: lost when it is dead, kept while it is frozen. */
  deliver(run: (turn: number) => void, turn = 0): void {
    if (!this.alive) return;
    if (this.#frozenAt === null) run(turn);
    else this.#held.push({ run, turn });
  }

  /** `run` after `ms`, as a timer of this process. */
  after(ms: number, run: (turn: number) => void, turn = 0): void {
    this.#clock.after(ms, run, this, turn);
  }

  /** Runs `work` to its end. What it throws is thrown out of the clock: work that may fail catches by itself. */
  run(work: Work): void {
    this.deliver(new Task(this, work).step);
  }
}

/** Work under way. Each wait has a number: whatever would end an earlier one comes too late. */
class Task implements Waiter {
  readonly #process: SimProcess;
  readonly #work: Work;
  #turn = 0;
  #bell: SimBell | null = null;
  #signal: SimSignal | null = null;

  constructor(process: SimProcess, work: Work) {
    this.#process = process;
    this.#work = work;
  }

  readonly step = (turn: number): void => {
    if (turn !== this.#turn) return;
    this.#turn += 1;
    if (this.#bell !== null) this.#bell.waiter = null;
    if (this.#signal !== null) this.#signal.waiter = null;
    const { done, value } = this.#work.next();
    if (done) {
      this.#bell = null;
      this.#signal = null;
      return;
    }
    const bell = value.bell ?? null;
    const signal = value.signal ?? null;
    this.#bell = bell;
    this.#signal = signal;
    if (bell !== null) bell.waiter = this;
    if (signal !== null) signal.waiter = this;
    this.#process.after((bell !== null && bell.rung) || (signal !== null && signal.aborted) ? 0 : value.ms, this.step, this.#turn);
  };

  called(): void {
    this.#process.after(0, this.step, this.#turn);
  }
}

export function* sleep(ms: number, signal?: SimSignal): Work {
  yield signal === undefined ? { ms } : { ms, signal };
}

export function* waitFor(bell: SimBell, ms: number): Work {
  if (!bell.rung) yield { ms, bell };
  bell.rung = false;
}
