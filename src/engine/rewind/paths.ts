/** Which file holds a block, and which files a rewind does not take over (common/relpath.c, pg_rewind's filemap.c). */
import type { BlockRef } from '../../wal/blocks.ts';

/** BLCKSZ and RELSEG_SIZE (in blocks) of every packaged PostgreSQL. */
export const BLOCK = 8192;
export const SEGMENT_BLOCKS = 131_072;

const DEFAULT_TABLESPACE = 1663;
const GLOBAL_TABLESPACE = 1664;

const MAIN_FORK_FILE = /^(?:global|base\/\d+)\/[1-9]\d*(?:\.[1-9]\d*)?$/;
const TEMPORARY_RELATION = /^base\/\d+\/t\d+_\d+(?:_(?:fsm|vm|init))?(?:\.\d+)?$/;

/**
 * The path of the segment that holds a main fork's block, below the data directory, and the block's number in it.
 * Null for a relation in another tablespace.
 */
export function blockFile(ref: Pick<BlockRef, 'tablespace' | 'database' | 'relation' | 'block'>): { path: string; block: number } | null {
  let folder: string;
  if (ref.tablespace === DEFAULT_TABLESPACE) folder = `base/${ref.database}`;
  else if (ref.tablespace === GLOBAL_TABLESPACE) folder = 'global';
  else return null;
  const segment = Math.floor(ref.block / SEGMENT_BLOCKS);
  return { path: segment === 0 ? `${folder}/${ref.relation}` : `${folder}/${ref.relation}.${segment}`, block: ref.block % SEGMENT_BLOCKS };
}

/**
 * True for a segment of a relation's main fork. The other forks are copied whole: WAL does not name all of their
 * changes.
 */
export function isRelationFile(path: string): boolean {
  return MAIN_FORK_FILE.test(path);
}

const EMPTIED_AT_START = ['pg_stat_tmp/', 'pg_replslot/', 'pg_dynshmem/', 'pg_notify/', 'pg_serial/', 'pg_snapshots/', 'pg_subtrans/'];
const NEVER_COPIED = new Set([
  'postgresql.auto.conf.tmp', 'current_logfiles.tmp', 'backup_label', 'tablespace_map', 'backup_manifest', 'postmaster.pid', 'postmaster.opts',
]);

/** What the target must not have, whether or not the source does: pg_rewind's exclusions, and temporary relations. */
export function isExcluded(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return path.includes('/pgsql_tmp') || TEMPORARY_RELATION.test(path) || name.startsWith('pg_internal.init') ||
    NEVER_COPIED.has(name) || EMPTIED_AT_START.some((folder) => path.startsWith(folder));
}

/**
 * What stays as the target has it: pgorbit's own files, what decides who may connect, what makes it a standby. The
 * control file and pg_wal are dealt with apart from the others.
 */
export function isTargetsOwn(path: string): boolean {
  return path.startsWith('pgorbit.') || path === 'pg_hba.conf' || path === 'standby.signal' || path === 'global/pg_control' ||
    path === 'pg_wal' || path.startsWith('pg_wal/');
}

/** A relation file's place in its relation: the path of the first segment, and its own number. */
export function segmentOf(path: string): { relation: string; segment: number } {
  const dot = path.indexOf('.');
  return dot === -1 ? { relation: path, segment: 0 } : { relation: path.slice(0, dot), segment: Number(path.slice(dot + 1)) };
}
