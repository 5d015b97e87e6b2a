/**
 * A full volume makes the primary panic on its WAL and then fail its own crash recovery. So there is a ballast file
 * to release, a watermark that warns, and one that refuses new clones.
 */
import { rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, PgorbitError } from '../errors.ts';
import { complaint, run } from './command.ts';

export const BALLAST_FILE = '.pgorbit-ballast';
const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Shares of the volume in use (the ballast not counted) from which a level holds. */
export const WATERMARKS = { warn: 0.8, refuse: 0.9, critical: 0.97 } as const;

export type SpaceLevel = 'ok' | 'warn' | 'refuse' | 'critical';

export interface SpaceJudgement {
  level: SpaceLevel;
  /** The sentence for `status`; null while all is well. */
  sentence: string | null;
}

/** All in bytes; `free` is what an ordinary user may still write, `ballast` the size of the ballast file (0: none). */
export interface SpaceFacts {
  total: number;
  free: number;
  ballast: number;
}

/** How full a volume is, and what follows from it. The ballast counts as free: it can be given back. */
export function judgeSpace({ total, free, ballast }: SpaceFacts): SpaceJudgement {
  if (total <= 0) return { level: 'ok', sentence: null };
  const used = 1 - Math.min(total, free + ballast) / total;
  const percent = `${Math.floor(used * 100)} % full`;
  if (used >= WATERMARKS.critical) {
    return { level: 'critical', sentence: `the volume is ${percent}: PostgreSQL is about to stop; the ballast is released, grow the volume or remove members now` };
  }
  if (used >= WATERMARKS.refuse) {
    return { level: 'refuse', sentence: `the volume is ${percent}: no new member is cloned until it is below ${WATERMARKS.refuse * 100} %; grow or reclaim it` };
  }
  if (used >= WATERMARKS.warn) return { level: 'warn', sentence: `the volume is ${percent}: grow or reclaim it soon` };
  return { level: 'ok', sentence: null };
}

/** The ballast's size for a volume of `total` bytes: 1 %, at least 16 MiB, at most 1 GiB. */
export function ballastSize(total: number): number {
  return Math.min(GIB, Math.max(16 * MIB, Math.floor(total / 100)));
}

/** Size, free space and ballast of the volume at `path`. */
export async function readSpace(path: string): Promise<SpaceFacts> {
  const fs = await statfs(path);
  const ballast = await ballastBytes(path);
  return { total: fs.blocks * fs.bsize, free: fs.bavail * fs.bsize, ballast };
}

/**
 * Makes the ballast file where there is none and the volume is below the `refuse` watermark; returns its size in
 * bytes, 0 where there was no room.
 * @throws `volume-failed` where the file system cannot reserve space.
 */
export async function ensureBallast(path: string, bytes?: number): Promise<number> {
  const space = await readSpace(path);
  const wanted = bytes ?? ballastSize(space.total);
  if (space.ballast >= wanted) return space.ballast;
  const after = judgeSpace({ total: space.total, free: space.free - (wanted - space.ballast), ballast: 0 });
  if (after.level === 'refuse' || after.level === 'critical') return space.ballast;
  const file = join(path, BALLAST_FILE);
  const made = await run('fallocate', ['-l', String(wanted), file]);
  if (made.code === 0) return wanted;
  await rm(file, { force: true });
  if (/no space|quota/i.test(made.stderr)) return 0;
  throw new PgorbitError('volume-failed', `could not reserve ballast in ${path}: ${complaint(made)}`);
}

/** Gives the ballast back to the volume; returns the bytes given back, 0 where there was none. */
export async function releaseBallast(path: string): Promise<number> {
  const bytes = await ballastBytes(path);
  await rm(join(path, BALLAST_FILE), { force: true });
  return bytes;
}

async function ballastBytes(path: string): Promise<number> {
  try {
    return (await stat(join(path, BALLAST_FILE))).blocks * 512;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0;
    throw error;
  }
}
