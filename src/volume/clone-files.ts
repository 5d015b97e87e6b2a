/** Carries out a plan of plan-clone.ts: clones or copies, keeps modes and owners, tolerates what vanished. */
import { chmod, constants, copyFile, lchown, mkdir, open, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eachOf } from '../each-of.ts';
import { errnoOf } from '../errors.ts';
import type { CloneOptions, CloneResult } from './driver.ts';
import { canReadExtents, countExtents } from './extents.ts';
import { CONTROL_FILE, type PlannedEntry } from './plan-clone.ts';

/** Node has four threads for file operations, and one clone can hold one for seconds: leave some to the agent. */
const AT_ONCE = 2;

/**
 * A clone costs by the number of extents (65,000 took 23 s where 1 GB is copied in a few): above this, copy.
 * Small files cannot have that many that matter.
 */
const SCATTERED = { extents: 20_000, fromBytes: 256 * 1024 * 1024 };

const CHUNK = 1024 * 1024;

interface Work extends CloneOptions {
  reflink: boolean;
  /** A file of at least `fromBytes` in more than `extents` pieces is copied, not cloned. */
  scattered?: { extents: number; fromBytes: number } | undefined;
}

/** Makes `target` from `source`. Throws the signal's reason when it aborts; what was made is then the caller's. */
export async function cloneFiles(source: string, target: string, plan: readonly PlannedEntry[], work: Work): Promise<CloneResult> {
  const files = plan.filter(({ kind }) => kind === 'file');
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const result = { files: 0, bytes: 0, copiedBytes: 0, notes: [] as string[] };
  const seesExtents = work.reflink && (await canReadExtents());
  let refused = 0;
  for (const entry of plan) {
    if (entry.kind !== 'folder') continue;
    const path = join(target, entry.path);
    await mkdir(path, { mode: 0o700 });
    await dress(path, entry);
  }
  const one = async (entry: PlannedEntry): Promise<void> => {
    work.signal?.throwIfAborted();
    const from = join(source, entry.path);
    const to = join(target, entry.path);
    if (entry.kind === 'link') await symlink(await readlink(from), to);
    else {
      const how = await cloneFile(from, to, entry, work, seesExtents);
      if (how !== 'cloned') result.copiedBytes += entry.size;
      if (how === 'scattered') result.notes.push(`${entry.path} lies in more than ${(work.scattered ?? SCATTERED).extents} pieces and was copied`);
      if (how === 'refused') refused++;
      result.files++;
      result.bytes += entry.size;
    }
    await dress(to, entry);
    work.onProgress?.(result.bytes, total);
  };
  const tolerant = (entry: PlannedEntry): Promise<void> =>
    one(entry).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
      await rm(join(target, entry.path), { force: true });
    });
  const last = plan.at(-1)?.path === CONTROL_FILE ? plan.at(-1) : undefined;
  await eachOf(plan.filter((entry) => entry.kind !== 'folder' && entry !== last), AT_ONCE, tolerant);
  if (last) await one(last);
  if (refused > 0) result.notes.push(`the file system refused to clone ${refused} files, which were copied`);
  return result;
}

type How = 'cloned' | 'copied' | 'scattered' | 'refused';

async function cloneFile(from: string, to: string, entry: PlannedEntry, work: Work, seesExtents: boolean): Promise<How> {
  if (entry.path === CONTROL_FILE) {
    await writeFile(to, await readSteadily(from), { flag: 'wx', mode: entry.mode });
    return 'copied';
  }
  if (!work.reflink) {
    await copyBytes(from, to, entry, work.signal);
    return 'copied';
  }
  const { extents, fromBytes } = work.scattered ?? SCATTERED;
  if (seesExtents && entry.size >= fromBytes && ((await countExtents(from)) ?? 0) > extents) {
    await copyBytes(from, to, entry, work.signal);
    return 'scattered';
  }
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return 'cloned';
  } catch (error) {
    // A file may have a trait that its clone cannot get (btrfs without data checksums): EINVAL, ENOTSUP.
    if (!['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV'].includes(errnoOf(error) ?? '')) throw error;
    await rm(to, { force: true });
    await copyBytes(from, to, entry, work.signal);
    return 'refused';
  }
}

/** Copies as many bytes as the file had when it was planned: what came after is in the WAL. */
async function copyBytes(from: string, to: string, entry: PlannedEntry, signal: AbortSignal | undefined): Promise<void> {
  const input = await open(from, 'r');
  try {
    const output = await open(to, 'wx', entry.mode);
    try {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(entry.size, 1)));
      for (let at = 0; at < entry.size; ) {
        signal?.throwIfAborted();
        const { bytesRead } = await input.read(buffer, 0, Math.min(buffer.length, entry.size - at), at);
        if (bytesRead === 0) break;
        await writeAll(output, buffer.subarray(0, bytesRead), at);
        at += bytesRead;
      }
    } finally {
      await output.close();
    }
  } finally {
    await input.close();
  }
}

async function writeAll(output: Awaited<ReturnType<typeof open>>, bytes: Buffer, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await output.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
  }
}

/** pg_control is rewritten in place, and not every file system reads 8 kB in one piece: read until twice the same. */
async function readSteadily(file: string): Promise<Buffer> {
  for (let before = await readFile(file); ; ) {
    const again = await readFile(file);
    if (again.equals(before)) return again;
    before = again;
  }
}

/** Owner (where that is allowed) and mode, whatever the umask. */
async function dress(path: string, entry: PlannedEntry): Promise<void> {
  if (process.geteuid?.() === 0) await lchown(path, entry.uid, entry.gid);
  if (entry.kind !== 'link') await chmod(path, entry.mode);
}
