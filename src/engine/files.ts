/** Files of a server: its small ones, its log's end, its whole tree made durable. */
import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { readText, writeDurably } from '../durable.ts';

const run = promisify(execFile);
const TAIL_BYTES = 16_384;

/** Everything written so far on the file system of `path` is on disk when this resolves: syncfs(2), by sync(1). */
export async function syncTree(path: string): Promise<void> {
  await run('sync', ['-f', path]);
}

/** A path below `dir`. PostgreSQL's names are bytes, one char each (Latin-1). */
export function inside(dir: string, path: string): Buffer {
  return path === '' ? Buffer.from(dir) : Buffer.concat([Buffer.from(`${dir}/`), Buffer.from(path, 'latin1')]);
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

/** Replaces a small file of PostgreSQL's, durably; it belongs to the owner of its folder. */
export function replaceFile(file: string, text: string): Promise<void> {
  return writeDurably(file, text, { asFolderOwner: true });
}

/** As replaceFile, but leaves a file alone that holds this text already. True when it was changed. */
export async function replaceIfDifferent(file: string, text: string): Promise<boolean> {
  if ((await readText(file)) === text) return false;
  await replaceFile(file, text);
  return true;
}
