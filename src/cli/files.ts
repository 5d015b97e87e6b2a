/** The CLI's own small files, with errors that a person may read. */
import { lstat, mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { errnoOf, PgorbitError } from '../errors.ts';
import { writeDurably } from '../durable.ts';

/** Writes `text` to `file`, mode 0600, whole or not at all; makes the folder (0700) where it is missing. */
export async function writeWhole(file: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeDurably(file, text);
  } catch (cause) {
    throw writeError(file, cause);
  }
}

export const writeJson = (file: string, value: unknown): Promise<void> => writeWhole(file, `${JSON.stringify(value, null, 2)}\n`);

/** The file's text, or null where there is none. */
export async function readText(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT' || errnoOf(cause) === 'ENOTDIR') return null;
    if (errnoOf(cause) === 'EACCES') throw new PgorbitError('permission', `${file} may not be read by this user`, { hint: 'run pgorbit as the user who made the cluster', cause });
    throw cause;
  }
}

export async function readJson<T>(file: string): Promise<T | null> {
  const text = await readText(file);
  if (text === null) return null;
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new PgorbitError('state-corrupt', `${file} is no JSON: ${(cause as Error).message}`, { cause });
  }
}

/** The deepest folder on the way to `path` that exists. Throws `volume-failed` where something else than a folder is in the way. */
export async function nearestFolder(path: string): Promise<string> {
  let at = resolve(path);
  for (;;) {
    const found = await lstat(at).catch(() => null);
    if (found !== null && !found.isDirectory() && !found.isSymbolicLink()) throw new PgorbitError('volume-failed', `${path} can't be a folder: ${at} is a file`, { hint: 'name another path' });
    if (found !== null || at === '/') return at;
    at = dirname(at);
  }
}

function writeError(file: string, cause: unknown): unknown {
  const code = errnoOf(cause);
  if (code === 'ENOSPC' || code === 'EDQUOT') return new PgorbitError('volume-full', `there is no room left to write ${file}`, { hint: `see \`df ${dirname(file)}\``, cause });
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return new PgorbitError('permission', `${file} may not be written by this user`, { hint: 'run pgorbit as the user who owns the folder, or set PGORBIT_HOME to another', cause });
  return cause;
}

/** Is there a folder (or a link to one) at `path`? */
export const isFolder = (path: string): Promise<boolean> => stat(path).then((found) => found.isDirectory(), () => false);
