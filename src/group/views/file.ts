/** Puts the status file into a data directory, whole or not at all. */
import { constants } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { OsUser } from '../../engine/osuser.ts';
import { exists } from '../../durable.ts';
import { errnoOf } from '../../errors.ts';
import { asciiJson } from './ascii-json.ts';

export const STATUS_FILE = 'pgorbit_status.json';
/** pg_basebackup leaves out what begins so (basebackup.c, PG_TEMP_FILE_PREFIX). */
const ASIDE = `pgsql_tmp_${STATUS_FILE}`;

/**
 * Replaces the status file of `dataDir`. Not fsynced: after a crash of the host the views show nothing until the agent
 * has written it again. `owner` is the user whom PostgreSQL runs as, null for this process's own. False, and nothing is
 * written, where there is no data directory yet: initdb and base backups want an empty folder.
 * Only one process may write a directory's file at a time.
 */
export async function writeStatusFile(dataDir: string, owner: OsUser | null, value: object): Promise<boolean> {
  if (!(await exists(join(dataDir, 'PG_VERSION')))) return false;
  const aside = join(dataDir, ASIDE);
  try {
    const handle = await create(aside).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'EEXIST') throw error;
      await rm(aside, { force: true }); // a crash left it
      return create(aside);
    });
    try {
      if (owner !== null) await handle.chown(owner.uid, owner.gid);
      await handle.writeFile(`${asciiJson(value)}\n`);
    } finally {
      await handle.close();
    }
    await rename(aside, join(dataDir, STATUS_FILE));
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  return true;
}

/** Never through a link: the folder belongs to a user whom a database superuser can be. */
const create = (file: string): Promise<FileHandle> => open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
