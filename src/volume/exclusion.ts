/**
 * What a file-by-file clone of a running member leaves out: pg_basebackup's list (excludeDirContents and
 * excludeFiles in src/backend/backup/basebackup.c, and the reasons in the documentation's "Making a Base Backup
 * Using the Low Level API"), and what pgorbit itself keeps in the member's folder.
 */
import { BALLAST_FILE } from './space.ts';
import { FENCE_FILE } from './fencemark.ts';
import { MARKER_FILE } from './marker.ts';

/** Folders of PGDATA that the copy has, empty. */
const EMPTY_FOLDERS = new Set([
  'pg_stat_tmp', 'pg_replslot', 'pg_dynshmem', 'pg_notify', 'pg_serial', 'pg_snapshots', 'pg_subtrans',
]);

/** Files of PGDATA itself that speak of the source's running server or of another backup. */
const TOP_FILES = new Set([
  'postmaster.pid', 'postmaster.opts', 'backup_label', 'tablespace_map', 'backup_manifest',
]);

/** What a snapshot, which is atomic and so has everything, must lose before it is another member's. */
export const SNAPSHOT_DROPS = { files: ['postmaster.pid', 'postmaster.opts'], contents: ['pg_replslot'] } as const;

/** Entries of the member's folder that are the member's own and never another's. */
export function isOwnEntry(name: string): boolean {
  return name === MARKER_FILE || name === FENCE_FILE || name === BALLAST_FILE || /^\.?lock\b/.test(name) || name.endsWith('.tmp');
}

/**
 * Is the entry at `path` (relative to PGDATA, with `/`) left out? A folder that is left out loses its contents too.
 * `siblings` are all names in its folder: an unlogged relation is known by its `_init` fork.
 */
export function isExcluded(path: string, siblings: ReadonlySet<string>): boolean {
  const parts = path.split('/');
  const name = parts.at(-1)!;
  const [top] = parts;
  if (parts.length > 1 && EMPTY_FOLDERS.has(top!)) return true;
  if (parts.length === 1 && TOP_FILES.has(name)) return true;
  if (name.startsWith('pgsql_tmp') || name.startsWith('pg_internal.init') || name.startsWith('xlogtemp.') || name.endsWith('.tmp')) return true;
  const isRelationFolder = (top === 'base' && parts.length === 3) || (top === 'pg_tblspc' && parts.length === 5);
  return isRelationFolder && (isTemporaryRelation(name) || isUnlogged(name, siblings));
}

/** `t<backend>_<filenode>[_fork][.segment]`: looks_like_temp_rel_name() in src/backend/storage/file/fd.c. */
function isTemporaryRelation(name: string): boolean {
  return /^t\d+_\d+(_(fsm|vm|init))?(\.\d+)?$/.test(name);
}

/** Every fork but `init` of an unlogged relation: recovery makes them anew from it. */
function isUnlogged(name: string, siblings: ReadonlySet<string>): boolean {
  const match = /^(\d+)(?:_(fsm|vm|init))?(?:\.\d+)?$/.exec(name);
  return match !== null && match[2] !== 'init' && siblings.has(`${match[1]}_init`);
}
