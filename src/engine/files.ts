/** Durable small files, and durable trees. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { errnoOf } from '../errors.ts';

const run = promisify(execFile);
const TAIL_BYTES = 16_384;

/** Everything written so far on the file system of `path` is on disk when this resolves: syncfs(2), by sync(1). */
export async function syncTree(path: string): Promise<void> {
  await run('sync', ['-f', path]);
}

/** Makes a rename, a creation or a removal in `folder` durable. */
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

/** The end of a file, at most 16 kB of it, and nothing from before `from`: what a server logged since then. */
export async function readTail(file: string, from = 0): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const start = Math.max(from, size - TAIL_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, start);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}

/**
 * Replaces a file in one step that survives a crash: written aside, fsynced, renamed, folder fsynced. The file belongs
 * to the owner of its folder, because PostgreSQL refuses or cannot read what root owns.
 */
export async function replaceFile(file: string, text: string, mode = 0o600): Promise<void> {
  const folder = dirname(file);
  const aside = `${file}.${randomBytes(4).toString('hex')}`;
  try {
    const handle = await open(aside, 'wx', mode);
    try {
      if (process.getuid?.() === 0) {
        const { uid, gid } = await stat(folder);
        await handle.chown(uid, gid);
      }
      await handle.writeFile(text);
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

/** As replaceFile, but leaves a file alone that holds this text already. True when it was changed. */
export async function replaceIfDifferent(file: string, text: string): Promise<boolean> {
  if ((await readText(file)) === text) return false;
  await replaceFile(file, text);
  return true;
}
