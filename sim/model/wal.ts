/** Write-ahead logs of the model: a list of records, its length the LSN. Timelines fork as PostgreSQL's do. */

import type { TimelineBegin } from '../../src/group/model.ts';

export interface WalRecord {
  timeline: number;
  /** The commit's number, or null for anything else (checkpoint, end of recovery). */
  commit: number | null;
}
export type Wal = WalRecord[];

/** Records in a segment: after a reconnection a receiver says that it has received up to a segment's start. */
export const SEGMENT = 16;
export const segmentStart = (position: number): number => position - (position % SEGMENT);

export const timelineOf = (wal: Wal): number => wal.at(-1)?.timeline ?? 0;
export const lsnOf = (position: number): string => `0/${position.toString(16).toUpperCase()}`;

/** The end of the last valid record, whatever the server says of itself. */
export const positionOnDisk = (wal: Wal): { timeline: number; lsn: string } => ({ timeline: timelineOf(wal), lsn: lsnOf(wal.length) });

/** Where a timeline begins in a log that has it, or -1. */
export const beginOf = (wal: Wal, timeline: number): number => wal.findIndex((record) => record.timeline === timeline);

/** Where its timelines begin, but for the first. */
export const historyOf = (wal: Wal): TimelineBegin[] => wal.flatMap(({ timeline }, i) => (i > 0 && wal[i - 1]!.timeline !== timeline ? [{ timeline, begin: lsnOf(i) }] : []));

/**
 * May a server whose WAL is `own` go on from `source`, of which `end` records can be had? What PostgreSQL itself
 * checks ("walsender.c", StartReplication; "timeline.c"): timelines and positions, never contents.
 * @param asked from where on it wants WAL: a receiver asks from its segment's start, whatever it has beyond
 */
export function admits(own: Wal, source: Wal, end = source.length, asked = own.length): 'ok' | 'ahead' | 'behind-timeline' | 'forked' {
  const mine = timelineOf(own);
  const theirs = source[end - 1]?.timeline ?? 0;
  if (mine > theirs) return 'behind-timeline';
  // It asks from its segment's start on.
  if (mine === theirs) return segmentStart(own.length) > end ? 'ahead' : 'ok';
  const fork = source.findIndex((record) => record.timeline > mine);
  return asked <= fork && (own.length === 0 || source.some((record) => record.timeline === mine)) ? 'ok' : 'forked';
}
