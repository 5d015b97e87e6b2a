/** Where a member's WAL ends on disk. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readControlFile } from '../../../engine/control.ts';
import { PgorbitError } from '../../../errors.ts';
import { readHistory } from '../../../wal/files.ts';
import { parseHistory, parseHistoryFileName, timelineSpans } from '../../../wal/history.ts';
import { formatLsn, parseLsn, parseSegmentName, type Lsn } from '../../../wal/lsn.ts';
import { findWalEnd } from '../../../wal/scan.ts';
import type { TimelineBegin, WalPosition } from '../../model.ts';
import type { Member } from '../member.ts';

/** The timelines that a folder holds segments of, the newest first. A server writes only to its newest. */
export async function timelinesOf(walDir: string, segmentSize: number): Promise<number[]> {
  const found = new Set<number>();
  for (const name of await readdir(walDir)) {
    const segment = parseSegmentName(name, segmentSize);
    if (segment !== null) found.add(segment.timeline);
  }
  if (found.size === 0) throw new PgorbitError('wal-invalid', `${walDir} holds no WAL segment`);
  return [...found].sort((a, b) => b - a);
}

/** The timelines that a folder has history files of; those that were passed over have not `begun`. */
export async function historiesIn(walDir: string): Promise<{ timeline: number; begun: boolean }[]> {
  const found: { timeline: number; begun: boolean }[] = [];
  for (const name of await readdir(walDir)) {
    const timeline = parseHistoryFileName(name);
    if (timeline !== null) found.push({ timeline, begun: parseHistory(timeline, await readFile(join(walDir, name), 'utf8'), join(walDir, name)).parents.length > 0 });
  }
  return found;
}

/** Where a timeline begins, by its history file; 0 for the first. */
export async function beginOf(walDir: string, timeline: number): Promise<Lsn> {
  return timelineSpans(await readHistory(walDir, timeline)).find((span) => span.timeline === timeline)?.begin ?? 0n;
}

/** Where a timeline and its ancestors begin, by its history file; the first of all is left out. */
export async function historyOf(walDir: string, timeline: number): Promise<TimelineBegin[]> {
  if (timeline === 1) return [];
  return timelineSpans(await readHistory(walDir, timeline)).slice(1).map((span) => ({ timeline: span.timeline, begin: formatLsn(span.begin) }));
}

/**
 * The end of the last valid record, and the timeline that it belongs to. What a server says of itself is less: its
 * receiver's position starts again at the segment's beginning with every connection, while the bytes are still there.
 * @param replayed a record's boundary that is known to be there; null: from the redo point on.
 */
export async function positionOnDisk(dataDir: string, replayed: string | null, signal: AbortSignal): Promise<WalPosition> {
  const control = await readControlFile(dataDir);
  const walDir = join(dataDir, 'pg_wal');
  const from = parseLsn(replayed ?? control.redo);
  const timelines = await timelinesOf(walDir, control.walSegmentSize);
  for (const timeline of timelines) {
    const begin = await beginOf(walDir, timeline);
    const found = await findWalEnd({
      walDir, timeline, signal, from: from > begin ? from : begin, segmentSize: control.walSegmentSize, systemIdentifier: BigInt(control.systemIdentifier),
    });
    // A segment of a timeline of which nothing has arrived yet begins with its parent's bytes.
    if (found.end > begin || timeline === timelines.at(-1)) return { timeline, lsn: formatLsn(found.end > from ? found.end : from) };
  }
  throw new PgorbitError('wal-invalid', `${walDir} holds no valid WAL from ${formatLsn(from)} on`);
}

/** The end of the WAL of a standby that runs; what it receives in that moment may come on top. */
export async function positionOfStandby(member: Member, signal: AbortSignal): Promise<WalPosition> {
  const rows = await member.sql().query<{ lsn: string | null }>('select pg_last_wal_replay_lsn()::text as lsn');
  return positionOnDisk(member.place.dataDir, rows[0]?.lsn ?? null, signal);
}
