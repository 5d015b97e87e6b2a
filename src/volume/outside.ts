/** A member's data must lie in its folder whole, or a clone would share what two servers then write. */
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, PgorbitError } from '../errors.ts';

/** @throws `setting-refused` where the member's folder has tablespaces or a pg_wal elsewhere. */
export async function refuseOutsideLinks(memberDir: string): Promise<void> {
  const data = join(memberDir, 'data');
  const spaces = join(data, 'pg_tblspc');
  for (const name of await readdir(spaces).catch(absentIs<string[]>([]))) {
    const entry = join(spaces, name);
    const info = await lstat(entry).catch(absentIs(null));
    if (!info?.isSymbolicLink()) continue;
    const where = await readlink(entry).catch(absentIs('elsewhere'));
    throw new PgorbitError('setting-refused', `${memberDir} cannot be cloned: tablespace ${name} lies outside it, in ${where}`, {
      hint: 'move its tables to pg_default and drop the tablespace, or use `storage: local`',
    });
  }
  for (const name of ['data', 'data/pg_wal', 'data/base', 'data/global']) {
    const info = await lstat(join(memberDir, name)).catch(absentIs(null));
    if (!info?.isSymbolicLink()) continue;
    throw new PgorbitError('setting-refused', `${memberDir} cannot be cloned: ${name} is a symbolic link out of it`, {
      hint: 'stop the member and move the folder back into its place',
    });
  }
}

function absentIs<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return value;
    throw error;
  };
}
