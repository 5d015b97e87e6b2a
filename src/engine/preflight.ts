/** What can be known before PostgreSQL is started, cheaply, in words that say what to do. */
import { createServer } from 'node:net';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PgorbitError, errnoOf } from '../errors.ts';
import { readText } from '../durable.ts';
import type { Engine } from './find.ts';
import type { OsUser } from './osuser.ts';
import { isZombie } from './proc.ts';

/** sun_path of unix(7), less the NUL at its end. */
const LONGEST_SOCKET = 107;

interface Plan {
  engine: Engine;
  dataDir: string;
  port: number;
  listen: readonly string[];
  socketDir: string;
  user: OsUser | null;
}

/** Throws the first thing that would hinder a start. What it lets pass may still fail: PostgreSQL has the last word. */
export async function checkBeforeStart(plan: Plan): Promise<void> {
  await checkDataDir(plan);
  for (const file of [join(plan.dataDir, 'postmaster.pid'), join(plan.socketDir, `.s.PGSQL.${plan.port}.lock`)]) await clearZombieLock(file);
  for (const address of plan.listen) await checkPort(address, plan.port);
  const socket = join(plan.socketDir, `.s.PGSQL.${plan.port}`);
  if (Buffer.byteLength(socket) > LONGEST_SOCKET) {
    throw new PgorbitError('postgres-failed', `The path of the Unix socket, ${socket}, is longer than the ${LONGEST_SOCKET} bytes that Linux allows.`, {
      hint: 'Set PGORBIT_HOME to a shorter path.',
    });
  }
}

/**
 * PostgreSQL takes a lock file for held while kill(pid, 0) finds its process, and that finds a zombie, too: of a
 * postmaster that was killed after its agent, where process 1 is slow to reap, or never does (a container without an
 * init). A zombie holds nothing; all else is left to PostgreSQL (CreateLockFile() in src/backend/utils/init/miscinit.c).
 */
async function clearZombieLock(file: string): Promise<void> {
  const pid = Number((await readText(file))?.split('\n')[0]);
  if (Number.isInteger(pid) && pid > 0 && isZombie(pid)) await rm(file, { force: true });
}

async function checkDataDir({ dataDir, engine, user }: Plan): Promise<void> {
  const version = (await readText(join(dataDir, 'PG_VERSION')))?.trim();
  if (version === undefined) {
    throw new PgorbitError('postgres-failed', `${dataDir} is no PostgreSQL data directory: it has no file PG_VERSION.`);
  }
  if (version !== String(engine.major)) {
    throw new PgorbitError('postgres-failed', `${dataDir} was made by PostgreSQL ${version}, and ${engine.bin} holds ${engine.version}.`, {
      hint: `Set engine.version to ${version}, or upgrade with pg_upgrade.`,
    });
  }
  const found = await stat(dataDir);
  const owner = user?.uid ?? process.getuid?.();
  if (found.uid !== owner) {
    throw new PgorbitError('permission', `${dataDir} belongs to user ${found.uid}, and PostgreSQL runs as ${user?.name ?? `user ${owner}`}.`, {
      hint: `chown -R ${user?.name ?? owner} ${dataDir}`,
    });
  }
}

/** Throws `port-in-use` where the address has a listener already. Other trouble is left to PostgreSQL to tell. */
async function checkPort(address: string, port: number): Promise<void> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, exclusive: true, ...(address === '*' ? {} : { host: address }) }, resolve);
    });
  } catch (error) {
    if (errnoOf(error) !== 'EADDRINUSE') return;
    throw new PgorbitError('port-in-use', `Port ${port} of ${address} is in use by another program.`, {
      hint: `Stop it (\`ss -ltnp sport = :${port}\` names it), or give the member another port.`,
      cause: error,
    });
  } finally {
    if (server.listening) await new Promise((resolve) => { server.close(resolve); });
  }
}
