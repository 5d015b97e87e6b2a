/** What every command gets: where things lie, how to speak, how long to wait, and whether the person wants it ended. */
import { PgorbitError } from '../errors.ts';
import { homeDir } from '../home.ts';
import { sleep } from '../lifecycle.ts';
import { Output } from './output.ts';
import { PLAIN, styleFor, type Style } from './print/style.ts';
import { parseSpan } from './print/units.ts';
import { everyTenth, Progress, type Sink } from './progress.ts';

/** The options that every command takes. */
export interface CommonOptions {
  json?: boolean;
  cluster?: string;
  timeout?: string;
}

export interface Surroundings {
  env: NodeJS.ProcessEnv;
  cwd: string;
  stdin: NodeJS.ReadStream;
  stdout: Sink;
  stderr: Sink;
  signal: AbortSignal;
}

export class Context {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly home: string;
  readonly stdin: NodeJS.ReadStream;
  readonly out: Output;
  readonly progress: Progress;
  /** For standard output. */
  readonly style: Style;
  /** Where warnings and questions go. */
  readonly stderr: Sink;
  /** Aborts at Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /** `--cluster`, else PGORBIT_CLUSTER. */
  readonly wantedCluster: string | undefined;
  /** `--timeout` in ms, or undefined: each command has a limit of its own. */
  readonly timeoutMs: number | undefined;
  /** What goes on without us, and how to see it: printed after Ctrl-C. */
  background: string | undefined;

  constructor(surroundings: Surroundings, options: CommonOptions) {
    const { env, stdout, stderr } = surroundings;
    this.env = env;
    this.cwd = surroundings.cwd;
    this.home = homeDir(env);
    this.stdin = surroundings.stdin;
    this.stderr = stderr;
    this.signal = surroundings.signal;
    this.out = new Output(stdout, options.json === true);
    this.style = options.json === true ? PLAIN : styleFor(stdout, env);
    this.progress = new Progress({
      sink: stderr,
      style: styleFor(stderr, env),
      now: () => performance.now(),
      tick: env['TERM'] === 'dumb' || env['CI'] ? undefined : everyTenth,
    });
    this.wantedCluster = options.cluster || env['PGORBIT_CLUSTER'] || undefined;
    this.timeoutMs = options.timeout === undefined ? undefined : parseSpan(options.timeout, '--timeout');
  }

  /** May a question be asked? Only of a person at a terminal who did not ask for JSON. */
  get interactive(): boolean {
    return this.stdin.isTTY === true && this.stderr.isTTY === true && !this.out.json;
  }

  /** When what begins now has to have ended. */
  deadline(defaultMs: number): Deadline {
    return new Deadline(this.timeoutMs ?? defaultMs, this.signal);
  }
}

/** The person wants it ended; main.ts turns it into exit code 130. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted');
    this.name = 'Interrupted';
  }
}

/** A limit on waiting, by the monotonic clock. */
export class Deadline {
  readonly limitMs: number;
  readonly #end: number;
  readonly #signal: AbortSignal;

  constructor(limitMs: number, signal: AbortSignal) {
    this.limitMs = limitMs;
    this.#end = performance.now() + limitMs;
    this.#signal = signal;
  }

  get leftMs(): number {
    return Math.max(0, this.#end - performance.now());
  }

  /** Waits `ms`, or less when the end is nearer. Throws Interrupted, or `timed-out` with what `late` says. */
  async rest(ms: number, late: () => { message: string; hint?: string }): Promise<void> {
    if (this.leftMs === 0) {
      const { message, hint } = late();
      throw new PgorbitError('timed-out', message, { hint });
    }
    await sleep(Math.min(ms, this.leftMs), this.#signal);
    if (this.#signal.aborted) throw new Interrupted();
  }
}
