/** Small files that are there whole or not at all, and whose names survive a crash. */
import { randomBytes } from 'node:crypto';
import { lstat, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf } from './errors.ts';

/** How the name ends under which a file is written first: what a crash left of it may be deleted. */
export const TEMPORARY = '.tmp';

export interface DurableOptions {
  /** Default 0600. */
  mode?: number;
  /** The file belongs to the owner of its folder: PostgreSQL refuses or cannot read what root owns. */
  asFolderOwner?: boolean;
}

/** Replaces `file` in one step: written aside, fsynced, renamed, the folder fsynced. The folder must exist. */
export async function writeDurably(file: string, content: string | Buffer, options: DurableOptions = {}): Promise<void> {
  const folder = dirname(file);
  const aside = join(folder, `.${basename(file)}.${process.pid}.${randomBytes(4).toString('hex')}${TEMPORARY}`);
  try {
    const handle = await open(aside, 'wx', options.mode ?? 0o600);
    try {
      if (options.asFolderOwner === true && process.getuid?.() === 0) {
        const { uid, gid } = await stat(folder);
        await handle.chown(uid, gid);
      }
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** Makes creations, renames and removals in `folder` durable: fsync(2) of a file does not cover its name. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The file's text, or null where there is none. */
export async function readText(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** Is there anything at `path`? A broken link counts. */
export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Younger than this a file may change again without another time: the file system's clock is coarse. ms */
const RACY_MS = 1_000;

/** What was read of files that change seldom, read again only when the file is another one or was changed. */
export class KeptReads {
  readonly #kept = new Map<string, { key: string; value: unknown }>();

  /** @param read what there is to know of `file`, whether it is there or not */
  async of<T>(file: string, read: () => Promise<T>): Promise<T> {
    const found = await stat(file, { bigint: true }).catch(() => null);
    const known = this.#kept.get(file);
    const key = found === null ? '' : `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
    if (found !== null && known?.key === key) return known.value as T;
    this.#kept.delete(file);
    const value = await read();
    if (found !== null && Date.now() - Number(found.ctimeMs) > RACY_MS) this.#kept.set(file, { key, value });
    return value;
  }
}
