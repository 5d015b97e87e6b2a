/** The life of one postmaster: start, adopt, watch, stop. It outlives the agent that started it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { PgorbitError } from '../errors.ts';
import { sleep } from '../lifecycle.ts';
import type { Cgroup } from './cgroup.ts';
import { cleanEnvironment } from './environment.ts';
import { explainStartFailure } from './explain.ts';
import { readTail } from './files.ts';
import type { Engine } from './find.ts';
import type { OsUser } from './osuser.ts';
import { readPidFile } from './pidfile.ts';
import { checkBeforeStart } from './preflight.ts';
import { folderKey, identify, isAlive, parentOf, runsProgram, sendSignal, type ProcessId } from './proc.ts';
import { reach } from './reach.ts';

export { explainStartFailure } from './explain.ts';

export interface StartOptions {
  engine: Engine;
  dataDir: string;
  port: number;
  /** Addresses; none: Unix sockets only. */
  listen: readonly string[];
  socketDir: string;
  /** Opened by us and appended to, so it may lie where PostgreSQL's user cannot write. */
  logFile: string;
  user: OsUser | null;
  cgroup: Cgroup | null;
  /** Given on the command line, so they win over every file. */
  settings?: Record<string, string>;
}

export interface Exit {
  code: number | null;
  signal: string | null;
}

export interface Postmaster {
  id: ProcessId;
  /** True when it is no child of ours: its exit is noticed within 50 ms, and its exit code is not known. */
  adopted: boolean;
  exited: Promise<Exit>;
  /** Stops watching without touching the process; `exited` then stays pending. */
  release(): void;
}

const START_WITHIN_MS = 60_000;
const WATCH_MS = 50;

/** Moves itself into the cgroup, then becomes the server: all that it forks is inside from the first moment. */
const ENTER_CGROUP = 'echo 0 > "$0" && exec "$@"';

/**
 * Starts PostgreSQL in a session of its own. Resolves when it holds its data directory, its port and its shared
 * memory; recovery may still run then (readPidFile has its status, isReady asks it). Throws what hindered it:
 * `port-in-use`, `shared-memory`, `permission`, `volume-full`, `setting-refused`, `locked`, `postgres-failed`...
 */
export async function startPostgres(options: StartOptions): Promise<Postmaster> {
  const { user, cgroup } = options;
  await checkBeforeStart(options);
  const log = await open(options.logFile, 'a+', 0o640);
  try {
    const before = (await log.stat()).size;
    const [program, ...args] = await commandLine(options);
    const child = spawn(program!, args, {
      cwd: '/',
      env: cleanEnvironment(),
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      ...(user === null || cgroup !== null ? {} : { uid: user.uid, gid: user.gid }),
    });
    const postmaster = await watchChild(child, options);
    protectFromOom(postmaster.id.pid);
    try {
      const state = await Promise.race([upAndHolding(options.dataDir, postmaster), postmaster.exited.then(() => 'exited' as const)]);
      if (state === 'exited') {
        const report = explainStartFailure(await readTail(options.logFile, before));
        throw new PgorbitError(report.code, `${report.message} (data directory ${options.dataDir}, log ${options.logFile})`, { hint: report.hint });
      }
      if (state === 'late') {
        await stopPostgres(postmaster, 'immediate', 5_000);
        throw new PgorbitError('timed-out', `PostgreSQL in ${options.dataDir} did not take its port and shared memory within ${START_WITHIN_MS / 1000} s.`, {
          hint: `Its log is ${options.logFile}.`,
        });
      }
    } catch (error) {
      postmaster.release();
      throw error;
    }
    return postmaster;
  } finally {
    await log.close();
  }
}

async function commandLine(options: StartOptions): Promise<string[]> {
  const { user, cgroup } = options;
  const settings: Record<string, string> = {
    ...options.settings,
    port: String(options.port),
    listen_addresses: options.listen.join(','),
    unix_socket_directories: await reach(options.socketDir, user),
  };
  const postgres = [
    join(await reach(options.engine.bin, user), 'postgres'),
    '-D', await reach(options.dataDir, user),
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
  if (cgroup === null) return postgres;
  const drop = user === null ? [] : ['setpriv', '--reuid', String(user.uid), '--regid', String(user.gid), '--init-groups', '--'];
  return ['/bin/sh', '-c', ENTER_CGROUP, cgroup.procsFile, ...drop, ...postgres];
}

async function watchChild(child: ChildProcess, options: StartOptions): Promise<Postmaster> {
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  try {
    await once(child, 'spawn');
  } catch (error) {
    throw new PgorbitError('engine-failed', `${options.engine.bin}/postgres could not be run: ${(error as Error).message}`, {
      hint: `See that ${options.user?.name ?? 'this user'} may read and run what lies in ${options.engine.bin} and beside it.`,
      cause: error,
    });
  }
  child.unref();
  const pid = child.pid!;
  // The child may have died already; Node reaps it only after we return to the event loop, so the id is still its own.
  const id = identify(pid) ?? { pid, startTime: '0', bootId: '' };
  return { id, adopted: false, exited, release: () => child.removeAllListeners('exit') };
}

/** The kernel is to kill a backend rather than the postmaster. Needs CAP_SYS_RESOURCE; without it nothing is lost. */
function protectFromOom(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, '-900');
  } catch {
    // Not permitted, or gone already.
  }
}

async function upAndHolding(dataDir: string, postmaster: Postmaster): Promise<'up' | 'late' | 'exited'> {
  const end = performance.now() + START_WITHIN_MS;
  while (performance.now() < end) {
    const file = await readPidFile(dataDir);
    if (file?.pid === postmaster.id.pid && file.status !== null) return 'up';
    if (!isAlive(postmaster.id)) return postmaster.exited.then(() => 'exited');
    await sleep(5);
  }
  return 'late';
}

/**
 * The postmaster that runs in a data directory, started by whomever, or null where none does. postmaster.pid may be
 * of a past that crashed, its number someone else's by now: a process counts only if it runs `postgres` in that very
 * folder and is no backend of another postmaster there. (The start time in the file is by the wall clock, which may
 * have been set since: it proves nothing.)
 */
export async function adoptPostgres(dataDir: string): Promise<Postmaster | null> {
  const file = await readPidFile(dataDir);
  const id = file === null ? null : identify(file.pid);
  const key = folderKey(dataDir);
  if (id === null || key === null || folderKey(`/proc/${id.pid}/cwd`) !== key || !runsProgram(id.pid, 'postgres')) return null;
  const parent = parentOf(id.pid);
  if (parent !== null && folderKey(`/proc/${parent}/cwd`) === key && runsProgram(parent, 'postgres')) return null;
  return watchOther(id);
}

function watchOther(id: ProcessId): Postmaster {
  let timer: NodeJS.Timeout | undefined;
  const exited = new Promise<Exit>((resolve) => {
    timer = setInterval(() => {
      if (isAlive(id)) return;
      clearInterval(timer);
      resolve({ code: null, signal: null });
    }, WATCH_MS);
  });
  return { id, adopted: true, exited, release: () => clearInterval(timer) };
}

const SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const;

/**
 * Asks PostgreSQL to stop (documentation, "Shutting Down the Server"): `smart` waits for clients, `fast` disconnects
 * them, `immediate` skips the checkpoint. True when it has exited within `timeoutMs`; false when it has not, or
 * `signal` aborted the waiting: it then goes on stopping.
 */
export async function stopPostgres(postmaster: Postmaster, mode: keyof typeof SIGNALS, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
  if (!isAlive(postmaster.id)) return true;
  sendSignal(postmaster.id.pid, SIGNALS[mode]);
  const enough = new AbortController();
  const forward = (): void => enough.abort();
  signal?.addEventListener('abort', forward, { once: true });
  if (signal?.aborted) enough.abort();
  void postmaster.exited.then(forward);
  await sleep(timeoutMs, enough.signal);
  signal?.removeEventListener('abort', forward);
  return !isAlive(postmaster.id);
}
