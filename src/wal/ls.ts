/** What lies in a WAL directory: the library behind `pgorbit wal ls`. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PgorbitError, errnoOf } from '../errors.ts';
import { identifyWal, readFirstHeader, walNames } from './files.ts';
import { parseHistoryFileName } from './history.ts';
import { type Lsn, parseSegmentName } from './lsn.ts';
import { versionOfMagic } from './page.ts';

export type SegmentState =
  /** Holds WAL of the position that its name says. */
  | 'written'
  /** Kept for use again: its first page carries another position. */
  | 'recycled'
  /** Made, and nothing written yet. */
  | 'empty'
  /** Shorter than a segment. */
  | 'short'
  /** Of another database system. */
  | 'foreign'
  /** Not a WAL page at its start. */
  | 'damaged';

export interface WalSegment {
  kind: 'segment' | 'partial';
  name: string;
  timeline: number;
  start: Lsn;
  /** Bytes of the file. */
  size: number;
  state: SegmentState;
}

export interface WalListing {
  dir: string;
  segmentSize: number;
  systemIdentifier: bigint;
  version: number;
  /** By timeline, then position. */
  segments: WalSegment[];
  /** Timelines that have a history file. */
  histories: number[];
  /** Everything else: backup labels, archive_status, temporary files. */
  others: string[];
}

/**
 * Lists `dir`. Throws PgorbitError `wal-invalid` when it cannot be read, or when no segment in it says what the
 * segment size is.
 */
export async function listWal(dir: string): Promise<WalListing> {
  const identity = await identifyWal(dir);
  if (identity === null) {
    throw new PgorbitError('wal-invalid', `${dir} holds no WAL segment of PostgreSQL 15 to 18`, { hint: 'name a pg_wal folder or the folder of a logger' });
  }
  const listing: WalListing = { dir, ...identity, segments: [], histories: [], others: [] };
  for (const name of await walNames(dir)) {
    const base = name.endsWith('.partial') ? name.slice(0, -'.partial'.length) : name;
    const id = parseSegmentName(base, identity.segmentSize);
    const history = parseHistoryFileName(name);
    if (id) {
      const state = await segmentState(join(dir, name), id.start, identity);
      if (state) listing.segments.push({ kind: base === name ? 'segment' : 'partial', name, ...id, ...state });
    } else if (history !== null) {
      listing.histories.push(history);
    } else {
      listing.others.push(name);
    }
  }
  return listing;
}

/** Null when the file has gone since it was listed: a running server recycles. */
async function segmentState(file: string, start: Lsn, identity: { segmentSize: number; systemIdentifier: bigint }): Promise<{ size: number; state: SegmentState } | null> {
  let size: number;
  try {
    size = (await stat(file)).size;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
  if (size < identity.segmentSize) return { size, state: 'short' };
  const header = await readFirstHeader(file);
  if (header === null) return { size, state: 'short' };
  if (header.magic === 0) return { size, state: 'empty' };
  if (versionOfMagic(header.magic) === null || header.long === null) return { size, state: 'damaged' };
  if (header.long.systemIdentifier !== identity.systemIdentifier) return { size, state: 'foreign' };
  return { size, state: header.address === start ? 'written' : 'recycled' };
}
