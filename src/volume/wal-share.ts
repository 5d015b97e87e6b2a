/**
 * Shares closed WAL segments again. A replica receives over the wire, byte for byte, what the primary's pg_wal
 * already holds; once a segment is closed its clone can stand in for it. No dedupe ioctl is needed: compare, clone
 * the primary's file beside the replica's, rename over it. Whoever has the old file open keeps it. Should the
 * replica have recycled the segment meanwhile, an old segment comes back, which its next restartpoint removes
 * (RemoveOldXlogFiles in src/backend/access/transam/xlog.c).
 */
import { chmod, constants, copyFile, lchown, lstat, open, readdir, rename, rm, utimes } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { sleep } from '../lifecycle.ts';
import { syncFolder } from '../durable.ts';
import { canReadExtents, extentBytes, readExtents, type Extents } from './extents.ts';
import { accountRanges } from './ranges.ts';

export interface ShareWalOptions {
  /** Segments before this one (24 hexadecimal digits), on its timeline, are closed in both folders. */
  upTo: string;
  /** Reading is slowed to this; default 64 MiB a second. */
  bytesPerSecond?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface ShareWalResult {
  /** Segments that were shared by this call. */
  segments: number;
  /** Bytes given back; an estimate (the segments' sizes) where extents cannot be read. */
  freed: number;
}

/** PostgreSQL removes `xlogtemp.*` from pg_wal when it starts: a crash of ours leaves nothing. */
const ASIDE = 'xlogtemp.pgorbit';
const CHUNK = 1024 * 1024;
const DEFAULT_RATE = 64 * 1024 * 1024;

/** Names of both folders that may be shared: pure. */
export function shareable(source: readonly string[], target: readonly string[], upTo: string): string[] {
  if (!/^[0-9A-F]{24}$/.test(upTo)) return [];
  const timeline = upTo.slice(0, 8);
  const there = new Set(source);
  return target.filter((name) => /^[0-9A-F]{24}$/.test(name) && name.startsWith(timeline) && name < upTo && there.has(name)).sort();
}

/**
 * Shares what can be shared; stops between two chunks when the signal aborts, and returns what was done by then.
 * @throws the system error where a file cannot be read or cloned (`EXDEV`: the folders are on two file systems).
 */
export async function shareWal(sourceDir: string, targetDir: string, options: ShareWalOptions): Promise<ShareWalResult> {
  const { signal } = options;
  const pace = new Pace(options.bytesPerSecond ?? DEFAULT_RATE, signal);
  const names = shareable(await readdir(sourceDir), await readdir(targetDir), options.upTo);
  const seesExtents = await canReadExtents();
  const result = { segments: 0, freed: 0 };
  for (const name of names) {
    if (signal?.aborted) break;
    const source = join(sourceDir, name);
    const target = join(targetDir, name);
    const gain = seesExtents ? await ownBytes(source, target) : null;
    if (gain === 0 || (gain === null && known.has(await pairKey(source, target)))) continue;
    const freed = await shareSegment(source, target, join(targetDir, ASIDE), pace, signal).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return 0;
      throw error;
    });
    if (freed === 0) continue;
    result.segments++;
    result.freed += gain ?? freed;
    if (gain === null) remember(await pairKey(source, target));
  }
  if (result.segments > 0) await syncFolder(targetDir);
  return result;
}

/** Pairs shared before, where extents cannot tell; a few bytes a segment, and the oldest go first. */
const known = new Set<string>();
const KNOWN_AT_MOST = 10_000;

function remember(key: string): void {
  known.add(key);
  for (const oldest of known) {
    if (known.size <= KNOWN_AT_MOST) return;
    known.delete(oldest);
  }
}

async function pairKey(source: string, target: string): Promise<string> {
  const [from, to] = await Promise.all([lstatIfThere(source), lstatIfThere(target)]);
  return `${from?.dev}/${from?.ino}/${from?.mtimeNs} ${to?.dev}/${to?.ino}/${to?.mtimeNs}`;
}

/** Bytes of `target` that are not `source`'s too, or 0 where one is gone. */
async function ownBytes(source: string, target: string): Promise<number> {
  const extents = await readExtents([source, target]);
  const from: Extents | undefined = extents.get(source);
  const to: Extents | undefined = extents.get(target);
  if (!from || !to || extentBytes(to) === 0) return 0;
  return accountRanges([[from], [to]]).exclusive[1]!;
}

/** The segment's size when it was shared, 0 when the two differ or one changed meanwhile. */
async function shareSegment(source: string, target: string, aside: string, pace: Pace, signal: AbortSignal | undefined): Promise<number> {
  const [from, to] = await Promise.all([lstatIfThere(source), lstatIfThere(target)]);
  if (!from?.isFile() || !to?.isFile() || from.size !== to.size || from.size === 0n) return 0;
  if (!(await sameBytes(source, target, Number(from.size), pace, signal))) return 0;
  await rm(aside, { force: true });
  try {
    await copyFile(source, aside, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    if (process.geteuid?.() === 0) await lchown(aside, Number(to.uid), Number(to.gid));
    await chmod(aside, Number(to.mode) & 0o7777);
    await utimes(aside, Number(to.atimeMs) / 1000, Number(to.mtimeMs) / 1000);
    await flush(aside);
    const unchanged = isSame(from, await lstatIfThere(source)) && isSame(to, await lstatIfThere(target));
    if (!unchanged) return 0;
    await rename(aside, target);
    return Number(from.size);
  } finally {
    await rm(aside, { force: true });
  }
}

function isSame(before: BigIntStats, now: BigIntStats | null): boolean {
  return now !== null && now.ino === before.ino && now.size === before.size && now.mtimeNs === before.mtimeNs;
}

async function sameBytes(a: string, b: string, size: number, pace: Pace, signal: AbortSignal | undefined): Promise<boolean> {
  const [left, right] = [Buffer.allocUnsafe(CHUNK), Buffer.allocUnsafe(CHUNK)];
  const first = await open(a, 'r');
  try {
    const second = await open(b, 'r');
    try {
      for (let at = 0; at < size; at += CHUNK) {
        if (signal?.aborted) return false;
        const [x, y] = await Promise.all([first.read(left, 0, CHUNK, at), second.read(right, 0, CHUNK, at)]);
        if (x.bytesRead !== y.bytesRead || x.bytesRead !== Math.min(CHUNK, size - at)) return false;
        if (left.compare(right, 0, y.bytesRead, 0, x.bytesRead) !== 0) return false;
        await pace.spent(x.bytesRead);
      }
      return true;
    } finally {
      await second.close();
    }
  } finally {
    await first.close();
  }
}

async function flush(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function lstatIfThere(path: string): Promise<BigIntStats | null> {
  try {
    return await lstat(path, { bigint: true });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** Sleeps as long as the bytes spent would take at the rate. */
class Pace {
  readonly #rate: number;
  readonly #signal: AbortSignal | undefined;
  #owed = 0;

  constructor(bytesPerSecond: number, signal: AbortSignal | undefined) {
    this.#rate = bytesPerSecond;
    this.#signal = signal;
  }

  async spent(bytes: number): Promise<void> {
    this.#owed += (bytes / this.#rate) * 1000;
    if (this.#owed < 20) return;
    await sleep(this.#owed, this.#signal);
    this.#owed = 0;
  }
}
