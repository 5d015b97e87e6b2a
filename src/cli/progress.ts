/**
 * What goes on, told on standard error: one line a step with the time since the start. On a terminal the step that
 * runs is a moving line; in a pipe each step is a line when it begins, so that a log shows where it stands.
 */
import { PLAIN, type Style } from './print/style.ts';
import { formatMs } from './print/units.ts';

export interface Sink {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export interface ProgressOptions {
  sink: Sink;
  style?: Style;
  /** ms, monotonic */
  now: () => number;
  /** Says nothing but warnings and errors. */
  quiet?: boolean;
  /** Calls back every so often until the returned function is called; absent: no moving line. */
  tick?: ((draw: () => void) => () => void) | undefined;
}

/** In a pipe a detail is told no more often than this, ms. */
const DETAIL_MS = 10_000;

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

export class Progress {
  readonly #options: ProgressOptions;
  readonly style: Style;
  readonly #start: number;
  readonly #live: boolean;
  /** `told`: when a detail was last written to a pipe. */
  #step: { text: string; detail: string; from: number; told: number } | undefined;
  #stop: (() => void) | undefined;
  #frame = 0;
  #drawn = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.style = options.style ?? PLAIN;
    this.#start = options.now();
    this.#live = options.sink.isTTY === true && options.tick !== undefined && options.quiet !== true;
  }

  /** Begins a step; the one before it is done. */
  step(text: string): void {
    this.done();
    this.#step = { text, detail: '', from: this.#options.now(), told: this.#options.now() };
    if (!this.#live) return this.#say(`${this.#elapsed()}${text}`);
    this.#stop = this.#options.tick?.(() => this.#draw());
    this.#draw();
  }

  /** What the present step waits for: all the time on a terminal, now and then in a pipe. */
  detail(text: string): void {
    const step = this.#step;
    if (step === undefined) return;
    const news = step.detail !== text;
    step.detail = text;
    if (this.#live || !news || this.#options.now() - step.told < DETAIL_MS) return;
    step.told = this.#options.now();
    this.#say(`${this.#elapsed()}  ${text}`);
  }

  /** The present step has come to its end; `result` says more than the step's name did. */
  done(result?: string): void {
    const step = this.#step;
    if (step === undefined) return;
    this.#end();
    const took = this.#options.now() - step.from;
    if (this.#live) this.#say(`${this.style.green('✓')} ${step.text}${result === undefined ? '' : `: ${result}`}${took >= 100 ? this.style.dim(` (${formatMs(took)})`) : ''}`);
    else if (result !== undefined) this.#say(`${this.#elapsed()}  ${result}`);
  }

  /** The present step did not work; the error itself is printed by whoever catches it. */
  fail(): void {
    const step = this.#step;
    if (step === undefined) return;
    this.#end();
    if (this.#live) this.#say(`${this.style.red('✗')} ${step.text}`);
  }

  /** A line beside the steps. */
  note(text: string): void {
    this.#erase();
    this.#say(`${this.#live ? '  ' : this.#elapsed()}${text}`);
    if (this.#step !== undefined && this.#live) this.#draw();
  }

  /** A line that is shown even where progress is not. */
  warn(text: string): void {
    this.#erase();
    this.#options.sink.write(`${this.style.yellow('warning:')} ${text}\n`);
    if (this.#step !== undefined && this.#live) this.#draw();
  }

  #elapsed(): string {
    return `${this.style.dim(`[${((this.#options.now() - this.#start) / 1000).toFixed(1).padStart(5)} s]`)} `;
  }

  #say(line: string): void {
    if (this.#options.quiet !== true) this.#options.sink.write(`${line}\n`);
  }

  #draw(): void {
    const step = this.#step;
    if (step === undefined) return;
    this.#frame += 1;
    const text = `${FRAMES[this.#frame % FRAMES.length]} ${step.text}${step.detail === '' ? ' …' : `: ${step.detail}`}`;
    const width = (this.#options.sink.columns ?? 80) - 10;
    const took = this.#options.now() - step.from;
    this.#options.sink.write(`\r\u001b[2K${text.slice(0, Math.max(20, width))} ${this.style.dim(took >= 1000 ? formatMs(took) : '')}`);
    this.#drawn = true;
  }

  #erase(): void {
    if (this.#drawn) this.#options.sink.write('\r\u001b[2K');
    this.#drawn = false;
  }

  #end(): void {
    this.#stop?.();
    this.#stop = undefined;
    this.#step = undefined;
    this.#erase();
  }
}

/** The moving line of a real terminal, ten times a second; it never keeps the process alive. */
export function everyTenth(draw: () => void): () => void {
  const timer = setInterval(draw, 100);
  timer.unref();
  return () => clearInterval(timer);
}
