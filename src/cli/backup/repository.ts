/** The repository that a command means. */
import { resolve } from 'node:path';
import type { FolderStore } from '../../backup/folder-store.ts';
import { openRepository } from '../../backup/repository.ts';
import { PgorbitError } from '../../errors.ts';
import type { Context } from '../context.ts';

/** The folder named by `option`, else PGORBIT_BACKUPS. Throws `usage`, `not-ours`, `no-such-backup`. */
export async function repositoryOf(context: Context, option: '--to' | '--from', folder: string | undefined, make = false): Promise<FolderStore> {
  const wanted = folder ?? context.env['PGORBIT_BACKUPS'];
  if (!wanted) throw new PgorbitError('usage', 'no repository was named', { hint: `${option} FOLDER, or PGORBIT_BACKUPS, names the folder that holds the backups` });
  if (/^[a-z][a-z0-9+]*:\/\//.test(wanted)) throw new PgorbitError('usage', `${wanted} is no folder: backups go to folders only`, { hint: 'mount the store, and name the folder' });
  return openRepository(resolve(context.cwd, wanted), { make });
}
