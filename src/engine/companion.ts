/**
 * The processes of pgorbit's own that do an agent's heavy work: a logger, an archiver. Each is one of its own, so that
 * load there never delays a heartbeat, and outlives the agent that started it: start, adopt, watch, stop.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { PgorbitError } from '../errors.ts';
import { sleep } from '../lifecycle.ts';
import type { Cgroup } from './cgroup.ts';
import { claimant } from './companion-claim.ts';
import { fatalIn } from './companion-log.ts';
import { cleanEnvironment } from './environment.ts';
import { readTail } from './files.ts';
import type { OsUser } from './osuser.ts';
import { identify, isAlive, sendSignal, type ProcessId } from './proc.ts';

export interface Companion {
  id: ProcessId;
  exited: Promise<void>;
  /** Stops watching without touching the process; `exited` then stays pending. */
  release(): void;
}

/** Node, its flags and the program; and all files of them that have to be read. */
export interface Program {
  command: string[];
  files: string[];
}

export interface CompanionOptions {
  /** In messages: `the logger`. */
  what: string;
  program: Program;
  /** The file that the program reads, as the process's own user reaches it. */
  configFile: string;
  /** Opened by us and appended to, so it may lie where the process's user cannot write. */
  logFile: string;
  user: OsUser | null;
  cgroup: Cgroup | null;
  /** Beside that of all programs (environment.ts). */
  environment?: Record<string, string>;
  /** Whether the process with this id says that it is at work. */
  ready: (pid: number) => Promise<boolean>;
}

const START_WITHIN_MS = 60_000;
const WATCH_MS = 50;
const TERM_MS = 10_000;
const KILL_MS = 10_000;

/** Moves itself into the cgroup, then becomes the program. */
const ENTER_CGROUP = 'echo 0 > "$0" && exec "$@"';

/**
 * A safety net, far above what is used: at full speed a logger has 95 MB resident, 52 MB of them when idle. WAL comes
 * and goes in buffers outside the heap; flags that keep the heap smaller made it slower and no smaller.
 */
const NODE_FLAGS: readonly string[] = ['--max-old-space-size=128'];

/** The program at `url`, which names a `.js`: as it was built, or as a source where this runs from the sources. */
export function programAt(url: URL): Program {
  const main = fileURLToPath(existsSync(url) ? url : new URL(url.href.replace(/\.js$/, '.ts')));
  // By its full path: the working directory is /, where no package is found.
  const loader = main.endsWith('.ts') ? createRequire(import.meta.url).resolve('tsx') : null;
  return {
    command: [process.execPath, ...NODE_FLAGS, ...(loader === null ? [] : ['--import', pathToFileURL(loader).href]), main],
    files: [process.execPath, main, ...(loader === null ? [] : [loader])],
  };
}

/**
 * Starts the program in a session of its own. Resolves when it is ready. Throws what hindered it, `operation-failed` where
 * it did not say, `timed-out`.
 */
export async function startCompanion(options: CompanionOptions): Promise<Companion> {
  const { user, cgroup, logFile, what } = options;
  const log = await open(logFile, 'a+', 0o640);
  try {
    const before = (await log.stat()).size;
    const [file, ...args] = commandLine(options);
    const child = spawn(file!, args, {
      cwd: '/', env: { ...cleanEnvironment(), ...options.environment }, detached: true, stdio: ['ignore', log.fd, log.fd],
      ...(user === null || cgroup !== null ? {} : { uid: user.uid, gid: user.gid }),
    });
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
    });
    try {
      await once(child, 'spawn');
    } catch (error) {
      throw new PgorbitError('operation-failed', `${what} could not be started: ${(error as Error).message}`, { cause: error });
    }
    child.unref();
    const pid = child.pid!;
    // It may have died already; Node reaps it only after we return to the event loop, so the id is still its own.
    const started: Companion = { id: identify(pid) ?? { pid, startTime: '0', bootId: '' }, exited, release: () => child.removeAllListeners('exit') };
    await untilReady(started, options, before);
    return started;
  } finally {
    await log.close();
  }
}

function commandLine({ program, configFile, user, cgroup }: CompanionOptions): string[] {
  const command = [...program.command, configFile];
  if (cgroup === null) return command;
  const drop = user === null ? [] : ['setpriv', '--reuid', String(user.uid), '--regid', String(user.gid), '--init-groups', '--'];
  return ['/bin/sh', '-c', ENTER_CGROUP, cgroup.procsFile, ...drop, ...command];
}

async function untilReady(started: Companion, { what, ready, logFile }: CompanionOptions, logFrom: number): Promise<void> {
  const end = performance.now() + START_WITHIN_MS;
  while (!(await ready(started.id.pid))) {
    if (!lives(started.id)) {
      const report = fatalIn(await readTail(logFile, logFrom));
      if (report !== null) throw PgorbitError.fromReport(report);
      throw new PgorbitError('operation-failed', `${what} ended while it started`, { hint: `read ${logFile}` });
    }
    if (performance.now() > end) {
      await stopCompanion(started, what);
      throw new PgorbitError('timed-out', `${what} was not ready within ${START_WITHIN_MS / 1000} s`, { hint: `read ${logFile}` });
    }
    await sleep(10);
  }
}

/** The process that runs in the folder `dir`, started by whomever, or null. Its exit is noticed within 50 ms. */
export function adoptCompanion(dir: string): Companion | null {
  const id = claimant(dir);
  if (id === null) return null;
  let timer: NodeJS.Timeout | undefined;
  const exited = new Promise<void>((resolve) => {
    timer = setInterval(() => {
      if (lives(id)) return;
      clearInterval(timer);
      resolve();
    }, WATCH_MS);
  });
  return { id, exited, release: () => clearInterval(timer) };
}

/**
 * SIGTERM, and SIGKILL after ten seconds: what it vouched for is durable either way.
 * @throws `operation-failed` when the kernel does not let it go.
 */
export async function stopCompanion({ id }: Companion, what: string): Promise<void> {
  if (isAlive(id)) sendSignal(id.pid, 'SIGTERM');
  if (await ends(id, TERM_MS)) return;
  if (isAlive(id)) sendSignal(id.pid, 'SIGKILL');
  if (await ends(id, KILL_MS)) return;
  throw new PgorbitError('operation-failed', `${what} (process ${id.pid}) does not end, not even by SIGKILL`, {
    hint: `it waits inside the kernel, as a rule for a disk: look at /proc/${id.pid}/stack`,
  });
}

/** A process that is being killed is a zombie before the last of its threads lets go of the port and of the cgroup. */
function lives(id: ProcessId): boolean {
  if (isAlive(id)) return true;
  // Its number is somebody else's by now.
  if (identify(id.pid) !== null) return false;
  try {
    return readdirSync(`/proc/${id.pid}/task`).length > 1;
  } catch {
    return false;
  }
}

async function ends(id: ProcessId, withinMs: number): Promise<boolean> {
  const end = performance.now() + withinMs;
  while (lives(id)) {
    if (performance.now() > end) return false;
    await sleep(10);
  }
  return true;
}
