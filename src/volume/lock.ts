/**
 * The lock of a member's folder: no two PostgreSQL servers on one data directory, whoever starts them.
 *
 * Node has no flock(2), and a lock that dies with its holder's file descriptor would not outlive the agent that
 * started PostgreSQL anyway. So the lock is a file that names its owner, and every change of it is the exclusive
 * creation of the next generation: `lock.7` is followed by `lock.8`, made by link(2), which only one can win. The
 * highest generation is the lock; one that says `owner: null` is free. A taker who was slow, and links a
 * generation that others have already left behind and cleaned up, sees the higher one afterwards and has lost.
 */
import { randomBytes } from 'node:crypto';
import { link, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, PgorbitError } from '../errors.ts';
import { readText } from '../durable.ts';
import { judgeLock, ownerOf, sameOwner, surroundings, type LockOwner, type Surroundings } from './lock-owner.ts';

export { lockOwner, type LockOwner } from './lock-owner.ts';

/**
 * Generations that stay: a taker who is that many behind finds its next generation taken, and only one who is even
 * slower has to notice by looking again.
 */
const KEPT = 3;

interface Held {
  generation: number;
  owner: LockOwner | null;
}

/**
 * Takes the lock for `owner`; a lock of a dead process, or of an earlier boot of this machine, is taken over.
 * Taking again what the same process holds already changes its term.
 * @throws `locked` that names host, process and term of who holds it.
 */
export async function acquireLock(dir: string, owner: LockOwner, here?: Surroundings): Promise<void> {
  const around = here ?? (await surroundings(dir));
  for (;;) {
    const held = await current(dir);
    if (held.owner && !sameOwner(held.owner, owner) && judgeLock(held.owner, around) === 'held') {
      throw lockedError(dir, held.owner);
    }
    if (await advance(dir, held.generation, owner)) return;
  }
}

/** Who holds the lock, dead or alive; null when it is free. */
export async function readLock(dir: string): Promise<LockOwner | null> {
  return (await current(dir)).owner;
}

/**
 * Hands the lock on without a moment in which it is free: from the agent that starts PostgreSQL to the postmaster.
 * @throws `locked` where `from` does not hold it.
 */
export async function transferLock(dir: string, from: LockOwner, to: LockOwner): Promise<void> {
  const held = await current(dir);
  if (held.owner && sameOwner(held.owner, from) && (await advance(dir, held.generation, to))) return;
  const now = await readLock(dir);
  throw now ? lockedError(dir, now) : new PgorbitError('locked', `the lock of ${dir} was released by someone else`);
}

/** Frees the lock where `owner` still holds it; anything else is left alone. True when it was freed. */
export async function releaseLock(dir: string, owner: LockOwner): Promise<boolean> {
  const held = await current(dir);
  return held.owner !== null && sameOwner(held.owner, owner) && advance(dir, held.generation, null);
}

/** Frees the lock of an owner who is proved dead (fenced), whatever the process table says. False when it is no longer `expected`'s. */
export async function breakLock(dir: string, expected: LockOwner): Promise<boolean> {
  return releaseLock(dir, expected);
}

export function lockedError(dir: string, owner: LockOwner): PgorbitError {
  return new PgorbitError(
    'locked',
    `${dir} is in use by process ${owner.process.pid} on host ${owner.host} (machine ${owner.machine}), term ${owner.term}`,
    { hint: `stop it there first; where that machine or container is gone for good, remove ${join(dir, 'lock.*')}` },
  );
}

async function generations(dir: string): Promise<number[]> {
  const names = await readdir(dir);
  return names.flatMap((name) => /^lock\.(\d+)$/.exec(name)?.[1] ?? []).map(Number).sort((a, b) => b - a);
}

async function current(dir: string): Promise<Held> {
  for (;;) {
    const [generation] = await generations(dir);
    if (generation === undefined) return { generation: 0, owner: null };
    const text = await readText(join(dir, `lock.${generation}`));
    // Gone between the two looks: a higher one is there now.
    if (text !== null) return { generation, owner: ownerOf(dir, text) };
  }
}

/** Makes `owner` the holder in the generation after `from`; false when another was faster. */
async function advance(dir: string, from: number, owner: LockOwner | null): Promise<boolean> {
  const next = from + 1;
  const aside = join(dir, `.lock.${process.pid}.${randomBytes(6).toString('hex')}.tmp`);
  await writeFile(aside, `${JSON.stringify({ format: 1, owner })}\n`, { flag: 'wx' });
  try {
    await link(aside, join(dir, `lock.${next}`));
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(aside, { force: true });
  }
  const there = await generations(dir);
  if (there[0] !== next) {
    await rm(join(dir, `lock.${next}`), { force: true });
    return false;
  }
  await Promise.all(there.filter((generation) => generation <= next - KEPT).map((generation) => rm(join(dir, `lock.${generation}`), { force: true })));
  return true;
}
