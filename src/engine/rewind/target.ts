/** The stopped data directory that is rewound: what it is, and the files that it has. */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PgorbitError, errnoOf } from '../../errors.ts';
import { exists } from '../../durable.ts';
import type { ControlData } from '../control.ts';
import { BLOCK } from './paths.ts';
import type { Listing } from './plan.ts';

const FRESH = 'make this member anew from a fresh copy';

/**
 * Throws where stock pg_rewind refuses too: `other-cluster` for two database systems, `unsafe` for other versions,
 * and where a hint bit may have changed a page without WAL.
 */
export async function checkTarget(dataDir: string, target: ControlData, source: ControlData, sourceName: string): Promise<void> {
  if (target.systemIdentifier !== source.systemIdentifier) {
    throw new PgorbitError('other-cluster', `${dataDir} belongs to the database system ${target.systemIdentifier}, ${sourceName} to ${source.systemIdentifier}`, {
      hint: 'look which of the two is the wrong one',
    });
  }
  const refuse = (why: string): PgorbitError => new PgorbitError('unsafe', `${dataDir} cannot be rewound: ${why}`, { hint: FRESH });
  if (target.pgControlVersion !== source.pgControlVersion || target.catalogVersion !== source.catalogVersion) throw refuse(`${sourceName} runs another version of PostgreSQL`);
  if (target.walSegmentSize !== source.walSegmentSize || target.blockSize !== BLOCK) throw refuse('its pages or WAL segments have another size');
  if (target.dataChecksumVersion === 0 && !target.walLogHints) throw refuse('it has neither data checksums nor wal_log_hints, so not every change of a page is in its WAL');
  if (target.walLevel === 'minimal') throw refuse('it wrote WAL at wal_level minimal, which leaves changes out');
  if (await exists(join(dataDir, 'backup_label'))) throw refuse('it has a backup_label: an earlier copy or rewind was not finished');
}

/**
 * All files and folders; pg_wal without its content. Throws `unsafe` for a symbolic link, which is a tablespace or
 * something that PostgreSQL did not make; pg_wal itself may be one.
 */
export async function listTarget(dataDir: string): Promise<Listing> {
  const listing = new Map<string, number | null>();
  const visit = async (folder: string): Promise<void> => {
    for (const name of await readdir(join(dataDir, folder))) {
      const path = folder === '' ? name : `${folder}/${name}`;
      const found = await lstat(join(dataDir, path)).catch((error: unknown) => {
        if (errnoOf(error) === 'ENOENT') return null;
        throw error;
      });
      if (found === null) continue;
      if (path === 'pg_wal') {
        listing.set(path, null);
      } else if (found.isDirectory()) {
        listing.set(path, null);
        await visit(path);
      } else if (found.isFile()) {
        listing.set(path, found.size);
      } else {
        throw new PgorbitError('unsafe', `${join(dataDir, path)} is neither a file nor a folder: tablespaces and links of one's own cannot be rewound`, { hint: FRESH });
      }
      if (folder === 'pg_tblspc') throw new PgorbitError('unsafe', `${dataDir} has a tablespace, which cannot be rewound`, { hint: FRESH });
    }
  };
  await visit('');
  return listing;
}
