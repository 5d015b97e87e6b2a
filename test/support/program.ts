/** Runs a program to its end, or in the background, and keeps what it says. */
import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';

export interface Ended {
  /** The exit code; 128 and more where a signal ended it, -1 where it could not be started. */
  code: number;
  /** The signal that ended it before it could do so by itself. */
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** Wall time, ms. */
  ms: number;
}

export interface ProgramOptions {
  env?: NodeJS.ProcessEnv | undefined;
  cwd?: string | undefined;
  uid?: number | undefined;
  gid?: number | undefined;
  /** Written to its standard input, which is closed then. */
  input?: string | undefined;
  /** SIGKILL after so many ms. */
  timeoutMs?: number | undefined;
}

/** A program that runs; `ended` never rejects. */
export interface Running {
  child: ChildProcess;
  ended: Promise<Ended>;
  /** Ends it by `signal` (SIGTERM unless given) and waits for its end. */
  stop(signal?: NodeJS.Signals): Promise<Ended>;
}

export function startProgram(file: string, args: readonly string[], options: ProgramOptions = {}): Running {
  const started = performance.now();
  const child = spawn(file, [...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: options.cwd ?? '/',
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  // A program that reads nothing closes its end.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const timer = options.timeoutMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), options.timeoutMs);
  const ended = new Promise<Ended>((resolve) => {
    const end = (code: number, signal: NodeJS.Signals | null = null): void => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr, ms: performance.now() - started });
    };
    child.once('error', (error) => {
      stderr += `${file}: ${error.message}\n`;
      end(-1);
    });
    child.once('close', (code, signal) => end(code ?? 128 + constants.signals[signal!], signal));
  });
  return {
    child,
    ended,
    stop: (signal = 'SIGTERM') => {
      child.kill(signal);
      return ended;
    },
  };
}

export function runProgram(file: string, args: readonly string[], options: ProgramOptions = {}): Promise<Ended> {
  return startProgram(file, args, options).ended;
}

/** As runProgram. Throws with what it said where its exit code is not 0. */
export async function mustRun(file: string, args: readonly string[], options: ProgramOptions = {}): Promise<Ended> {
  const ended = await runProgram(file, args, options);
  if (ended.code === 0) return ended;
  const said = `${ended.stdout}\n${ended.stderr}`.trim().split('\n').slice(-15).join('\n');
  throw new Error(`${file} ${args.join(' ')} ended with ${ended.code}:\n${said}`);
}
