/** The user's own manifest file, kept in step with what commands like `add replica` change. */
import { randomBytes } from 'node:crypto';
import { chmod, chown, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { errnoOf } from '../errors.ts';
import { sha256, type AppliedFile } from './admin.ts';
import { readText } from './files.ts';

/**
 * Writes `text` to the file that was applied last, if it still holds what was applied: a file that has been edited
 * since is the user's to change. Null where there is no file; a file that can't be written counts as not updated.
 */
export async function updateSource(applied: AppliedFile, text: string): Promise<{ path: string; updated: boolean } | null> {
  if (applied.source === null) return null;
  const path = applied.source;
  try {
    const present = await readText(path);
    if (present === null || sha256(present) !== applied.sha256) return { path, updated: present === text };
    // A link stays a link; owner and mode stay too.
    const real = await realpath(path);
    const { uid, gid, mode } = await stat(real);
    const aside = `${real}.${randomBytes(4).toString('hex')}`;
    try {
      await writeFile(aside, text, { flag: 'wx', mode: 0o600 });
      if (process.getuid?.() === 0) await chown(aside, uid, gid);
      await chmod(aside, mode & 0o7777);
      await rename(aside, real);
    } finally {
      await rm(aside, { force: true });
    }
    return { path, updated: true };
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return { path, updated: false };
  }
}
