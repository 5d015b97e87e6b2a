/** The life of one logger's process: start, adopt, watch, stop. It outlives the agent that started it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { open, realpath, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Cgroup } from '../../engine/cgroup.ts';
import { cleanEnvironment } from '../../engine/environment.ts';
import { readTail } from '../../engine/files.ts';
import type { OsUser } from '../../engine/osuser.ts';
import { identify, isAlive, sendSignal, type ProcessId } from '../../engine/proc.ts';
import { maySearch } from '../../engine/reach.ts';
import { PgorbitError } from '../../errors.ts';
import { sleep } from '../../lifecycle.ts';
import { runningLogger } from '../../wal/logger/claim.ts';
import { LoggerClient } from '../../wal/logger/client.ts';
import { fatalIn } from '../../wal/logger/failure.ts';

export interface LoggerProcess {
  id: ProcessId;
  exited: Promise<void>;
  /** Stops watching without touching the process; `exited` then stays pending. */
  release(): void;
}

export interface StartOptions {
  /** The file that main.ts reads, as the process's own user reaches it. */
  configFile: string;
  /** The control socket as this process reaches it. */
  control: string;
  /** Opened by us and appended to, so it may lie where the logger's user cannot write. */
  logFile: string;
  user: OsUser | null;
  cgroup: Cgroup | null;
}

const START_WITHIN_MS = 60_000;
const WATCH_MS = 50;
const TERM_MS = 10_000;
const KILL_MS = 10_000;

/**
 * A safety net, far above what is used: at full speed the process has 95 MB resident, 52 MB of them when idle. WAL comes
 * and goes in buffers outside the heap; flags that keep the heap smaller made it slower and no smaller.
 */
const NODE_FLAGS: readonly string[] = ['--max-old-space-size=128'];

/** Moves itself into the cgroup, then becomes the logger. */
const ENTER_CGROUP = 'echo 0 > "$0" && exec "$@"';

/** `main.js` in dist; `main.ts` where this runs from the sources. */
function entry(): URL {
  const built = new URL('../../wal/logger/main.js', import.meta.url);
  return existsSync(built) ? built : new URL('../../wal/logger/main.ts', import.meta.url);
}

/** Node, its flags and the program; and all files of them that have to be read. */
function program(): { command: string[]; files: string[] } {
  const main = fileURLToPath(entry());
  // By its full path: the working directory is /, where no package is found.
  const loader = main.endsWith('.ts') ? createRequire(import.meta.url).resolve('tsx') : null;
  return {
    command: [process.execPath, ...NODE_FLAGS, ...(loader === null ? [] : ['--import', pathToFileURL(loader).href]), main],
    files: [process.execPath, main, ...(loader === null ? [] : [loader])],
  };
}

/**
 * Who runs the logger: PostgreSQL's user, or root where that user may not read node or pgorbit itself (below /root, say):
 * unlike PostgreSQL it does not insist, and a bind mount would open the whole installation to that user.
 */
export async function loggerUser(user: OsUser | null): Promise<OsUser | null> {
  if (user === null) return null;
  for (const file of program().files) if (!(await mayRead(file, user))) return null;
  return user;
}

async function mayRead(file: string, user: OsUser): Promise<boolean> {
  const path = await realpath(file);
  const { uid, gid, mode } = await stat(path);
  // The read bits lie two above the search bits that maySearch looks at.
  if (!maySearch({ uid, gid, mode: mode >> 2 }, user)) return false;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (!maySearch(await stat(folder), user)) return false;
    if (folder === '/') return true;
  }
}

/**
 * Starts the logger in a session of its own. Resolves when it answers on its control socket. Throws what hindered it:
 * `port-in-use`, `state-corrupt`, `locked`, `volume-full`..., `operation-failed` where it did not say, `timed-out`.
 */
export async function startLogger(options: StartOptions): Promise<LoggerProcess> {
  const { user, cgroup, logFile } = options;
  const log = await open(logFile, 'a+', 0o640);
  try {
    const before = (await log.stat()).size;
    const [file, ...args] = commandLine(options);
    const child = spawn(file!, args, {
      cwd: '/', env: cleanEnvironment(), detached: true, stdio: ['ignore', log.fd, log.fd],
      ...(user === null || cgroup !== null ? {} : { uid: user.uid, gid: user.gid }),
    });
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
    });
    try {
      await once(child, 'spawn');
    } catch (error) {
      throw new PgorbitError('operation-failed', `the logger could not be started: ${(error as Error).message}`, { cause: error });
    }
    child.unref();
    const pid = child.pid!;
    // It may have died already; Node reaps it only after we return to the event loop, so the id is still its own.
    const logger: LoggerProcess = { id: identify(pid) ?? { pid, startTime: '0', bootId: '' }, exited, release: () => child.removeAllListeners('exit') };
    await untilItAnswers(logger, options, before);
    return logger;
  } finally {
    await log.close();
  }
}

function commandLine({ configFile, user, cgroup }: StartOptions): string[] {
  const command = [...program().command, configFile];
  if (cgroup === null) return command;
  const drop = user === null ? [] : ['setpriv', '--reuid', String(user.uid), '--regid', String(user.gid), '--init-groups', '--'];
  return ['/bin/sh', '-c', ENTER_CGROUP, cgroup.procsFile, ...drop, ...command];
}

async function untilItAnswers(logger: LoggerProcess, { control, logFile }: StartOptions, logFrom: number): Promise<void> {
  const client = new LoggerClient(control);
  const end = performance.now() + START_WITHIN_MS;
  for (;;) {
    const pid = await client.status().then((status) => status.pid, () => null);
    if (pid === logger.id.pid) return;
    if (!lives(logger.id)) {
      const report = fatalIn(await readTail(logFile, logFrom));
      if (report !== null) throw PgorbitError.fromReport(report);
      throw new PgorbitError('operation-failed', 'the logger ended while it started', { hint: `read ${logFile}` });
    }
    if (performance.now() > end) {
      await stopLogger(logger);
      throw new PgorbitError('timed-out', `the logger did not open its WAL within ${START_WITHIN_MS / 1000} s`, { hint: `read ${logFile}` });
    }
    await sleep(10);
  }
}

/** The logger that runs in `dir`, started by whomever, or null. Its exit is noticed within 50 ms. */
export function adoptLogger(dir: string): LoggerProcess | null {
  const id = runningLogger(dir);
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
 * SIGTERM, and SIGKILL after ten seconds: what it acknowledged is durable either way.
 * @throws `operation-failed` when the kernel does not let it go.
 */
export async function stopLogger({ id }: LoggerProcess): Promise<void> {
  if (isAlive(id)) sendSignal(id.pid, 'SIGTERM');
  if (await ends(id, TERM_MS)) return;
  if (isAlive(id)) sendSignal(id.pid, 'SIGKILL');
  if (await ends(id, KILL_MS)) return;
  throw new PgorbitError('operation-failed', `the logger (process ${id.pid}) does not end, not even by SIGKILL`, {
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
