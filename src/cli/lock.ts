/**
 * One change of a cluster at a time on this host: <home>/<cluster>/up.lock names the process that is at it. A lock
 * whose process is gone is taken over, so that a kill -9 blocks nobody.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identify, isAlive, type ProcessId } from '../engine/proc.ts';
import { errnoOf, PgorbitError } from '../errors.ts';
import { readText } from './files.ts';

interface LockFile extends ProcessId {
  command: string;
  since: string;
}

export interface Lock {
  release(): Promise<void>;
}

const lockFile = (dir: string): string => join(dir, 'up.lock');

/** Who holds the lock, or null: also for a lock whose process is gone, or that is no lock at all. */
export async function lockHolder(dir: string): Promise<{ pid: number; command: string } | null> {
  const lock = await readLock(lockFile(dir));
  return lock !== null && isAlive(lock) ? { pid: lock.pid, command: lock.command } : null;
}

/** Throws `locked` when another living process holds it. Makes the folder where it is missing: PostgreSQL's user has to pass through it. */
export async function takeLock(dir: string, command: string): Promise<Lock> {
  const mark = identify(process.pid);
  if (mark === null) throw new PgorbitError('internal', 'this process does not find itself in /proc', { hint: 'mount /proc' });
  await mkdir(dir, { recursive: true, mode: 0o755 });
  const file = lockFile(dir);
  const mine = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const content: LockFile = { ...mark, command, since: new Date().toISOString() };
  await writeFile(mine, JSON.stringify(content), { mode: 0o600, flag: 'wx' });
  try {
    // A hard link appears with its content and fails where the name exists: O_EXCL without a moment of emptiness.
    while (!(await linked(mine, file))) await clearDead(dir);
  } finally {
    await rm(mine, { force: true });
  }
  return { release: () => rm(file, { force: true }) };
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Moves a dead owner's lock out of the way; throws `locked` for a living one's. */
async function clearDead(dir: string): Promise<void> {
  const file = lockFile(dir);
  await refuseLiving(file, file);
  const aside = `${file}.dead.${process.pid}`;
  try {
    await rename(file, aside);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  // Between the look and the move another may have taken over: then it is given back.
  try {
    await refuseLiving(aside, file);
  } catch (error) {
    await linked(aside, file);
    throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

async function refuseLiving(file: string, shown: string): Promise<void> {
  const lock = await readLock(file);
  if (lock === null || !isAlive(lock)) return;
  throw new PgorbitError('locked', `\`pgorbit ${lock.command}\` is changing this cluster just now (process ${lock.pid}, since ${lock.since})`, {
    hint: `wait until it has ended and try again; ${shown} names it`,
  });
}

async function readLock(file: string): Promise<LockFile | null> {
  try {
    return JSON.parse((await readText(file)) ?? 'null') as LockFile | null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
