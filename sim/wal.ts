/** Write-ahead logs of the model: a list of records, its length the LSN. Timelines fork as PostgreSQL's do. */

export interface WalRecord {
  timeline: number;
  /** The commit's number, or null for anything else (checkpoint, end of recovery). */
  commit: number | null;
}
export type Wal = WalRecord[];

export const timelineOf = (wal: Wal): number => wal.at(-1)?.timeline ?? 0;
export const lsnOf = (position: number): string => `0/${position.toString(16).toUpperCase()}`;

/**
 * May a server whose WAL is `own` go on from `source`? What PostgreSQL itself checks ("walsender.c", StartReplication;
 * "timeline.c"): timelines and positions, never contents.
 */
export function admits(own: Wal, source: Wal): 'ok' | 'ahead' | 'behind-timeline' | 'forked' {
  const mine = timelineOf(own);
  const theirs = timelineOf(source);
  if (mine > theirs) return 'behind-timeline';
  if (mine === theirs) return own.length > source.length ? 'ahead' : 'ok';
  const fork = source.findIndex((record) => record.timeline > mine);
  return own.length <= fork && (own.length === 0 || source.some((record) => record.timeline === mine)) ? 'ok' : 'forked';
}

/** True when `own` is a beginning of `source` in truth: records are shared objects. */
export function isPrefix(own: Wal, source: Wal): boolean {
  return own.length === 0 || source[own.length - 1] === own[own.length - 1];
}
