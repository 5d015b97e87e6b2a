/** The life of one logger's process: start, adopt, watch, stop. It outlives the agent that started it. */
import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Cgroup } from '../../engine/cgroup.ts';
import { adoptCompanion, programAt, startCompanion, stopCompanion, type Companion, type Program } from '../../engine/companion.ts';
import type { OsUser } from '../../engine/osuser.ts';
import { maySearch } from '../../engine/reach.ts';
import { LoggerClient } from '../../wal/logger/client.ts';

export type LoggerProcess = Companion;

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

const WHAT = 'the logger';

const program = (): Program => programAt(new URL('../../wal/logger/main.js', import.meta.url));

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
export async function startLogger({ control, ...options }: StartOptions): Promise<LoggerProcess> {
  const client = new LoggerClient(control);
  return startCompanion({ ...options, what: WHAT, program: program(), ready: async (pid) => (await client.status().then((status) => status.pid, () => null)) === pid });
}

/** The logger that runs in `dir`, started by whomever, or null. Its exit is noticed within 50 ms. */
export const adoptLogger = (dir: string): LoggerProcess | null => adoptCompanion(dir);

/**
 * SIGTERM, and SIGKILL after ten seconds: what it acknowledged is durable either way.
 * @throws `operation-failed` when the kernel does not let it go.
 */
export const stopLogger = (logger: LoggerProcess): Promise<void> => stopCompanion(logger, WHAT);
