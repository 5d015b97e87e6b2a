/** Files that are there whole or not at all, and whose names survive a crash. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes the names in `dir` durable: fsync(2) of a file does not cover its directory entry. */
export async function syncDir(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export const TEMPORARY = '.tmp';

/** Replaces `path` at once: written aside, fsynced, renamed, the directory fsynced. Mode 0600. */
export async function writeWhole(path: string, content: Buffer): Promise<void> {
  const aside = path + TEMPORARY;
  try {
    const handle = await open(aside, 'w', 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await syncDir(dirname(path));
}
