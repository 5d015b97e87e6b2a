/** Reads all WAL of a directory and says what is missing or damaged: the library behind `pgorbit wal verify`. */
import { PgorbitError } from '../errors.ts';
import { readHistory, segmentTimeline } from './files.ts';
import { type TimelineHistory, timelineSpans } from './history.ts';
import { type Lsn, formatLsn } from './lsn.ts';
import { type WalListing, type WalSegment, listWal } from './ls.ts';
import { type ScanStop, scanAfter } from './scan.ts';

export interface WalGap {
  timeline: number;
  /** The first position that is missing, and the first that is there again. */
  from: Lsn;
  to: Lsn;
}

export interface WalDamage {
  segment: string;
  /** The end of the last valid record before the damage, or the segment's start when none is valid. */
  lsn: Lsn;
  /** `unreadable`: no valid record begins in the segment. */
  reason: ScanStop | 'unreadable';
}

export interface WalVerdict {
  listing: WalListing;
  /** The timeline that was read, and its ancestors as far as their segments are here. */
  timeline: number;
  /** Where the last valid record ends; null when there is none. */
  end: Lsn | null;
  records: number;
  gaps: WalGap[];
  damaged: WalDamage[];
}

/**
 * Checks every record on the way to `timeline`'s end (the newest timeline of the directory when it is not given).
 * The end of the WAL itself is neither gap nor damage: it is where no later segment has been written.
 */
export async function verifyWal(dir: string, options: { timeline?: number; signal?: AbortSignal } = {}): Promise<WalVerdict> {
  const listing = await listWal(dir);
  const timeline = options.timeline ?? Math.max(...listing.segments.filter((segment) => segment.state === 'written').map((segment) => segment.timeline));
  if (!Number.isFinite(timeline)) throw new PgorbitError('wal-invalid', `${dir} holds no written WAL segment`);
  const history = await readHistory(dir, timeline);
  const runs = runsOf(segmentsFor(listing, history), listing.segmentSize);
  const verdict: WalVerdict = { listing, timeline, end: null, records: 0, gaps: gapsBetween(runs, listing.segmentSize), damaged: [] };
  for (const [index, run] of runs.entries()) await verifyRun(verdict, run, index === runs.length - 1, options.signal);
  return verdict;
}

/** The written segments on the way to the history's timeline, by position. */
function segmentsFor(listing: WalListing, history: TimelineHistory): WalSegment[] {
  const spans = new Set(timelineSpans(history).map((span) => span.timeline));
  return listing.segments
    .filter((s) => s.kind === 'segment' && s.state !== 'recycled' && s.state !== 'empty')
    .filter((s) => spans.has(s.timeline) && s.timeline === segmentTimeline(history, s.start, listing.segmentSize))
    .sort((a, b) => (a.start < b.start ? -1 : 1));
}

function runsOf(segments: WalSegment[], segmentSize: number): WalSegment[][] {
  const runs: WalSegment[][] = [];
  let expected: Lsn | null = null;
  for (const segment of segments) {
    if (segment.start === expected) runs.at(-1)!.push(segment);
    else runs.push([segment]);
    expected = segment.start + BigInt(segmentSize);
  }
  return runs;
}

function gapsBetween(runs: WalSegment[][], segmentSize: number): WalGap[] {
  return runs.slice(1).map((run, index) => {
    const before = runs[index]!.at(-1)!;
    return { timeline: run[0]!.timeline, from: before.start + BigInt(segmentSize), to: run[0]!.start };
  });
}

/** Reads one run of adjacent segments; after damage, goes on with the next segment. */
async function verifyRun(verdict: WalVerdict, run: WalSegment[], isLast: boolean, signal: AbortSignal | undefined): Promise<void> {
  const { dir, segmentSize, systemIdentifier } = verdict.listing;
  let index = 0;
  while (index < run.length) {
    const first = run[index]!;
    const found = await scanAfter({ walDir: dir, timeline: verdict.timeline, from: first.start, segmentSize, systemIdentifier, signal });
    if (found === null) {
      verdict.damaged.push({ segment: first.name, lsn: first.start, reason: 'unreadable' });
      index += 1;
      continue;
    }
    verdict.records += found.records;
    verdict.end = found.end;
    const where = run.findIndex((segment) => found.end < segment.start + BigInt(segmentSize));
    // The run was read to its end, or its last record goes on in a segment that is missing, or this is the WAL's end.
    if (where === -1 || found.stop === 'no-segment' || (isLast && where === run.length - 1)) return;
    verdict.damaged.push({ segment: run[where]!.name, lsn: found.end, reason: found.stop });
    index = Math.max(where, index) + 1;
  }
}

/** One line for a person: what `wal verify` prints last. */
export function summarize(verdict: WalVerdict): string {
  const problems = verdict.gaps.length + verdict.damaged.length;
  const end = verdict.end === null ? 'nothing valid' : `valid to ${formatLsn(verdict.end)}`;
  return `timeline ${verdict.timeline}: ${verdict.records} records, ${end}; ${problems === 0 ? 'no gaps, no damage' : `${verdict.gaps.length} gaps, ${verdict.damaged.length} damaged segments`}`;
}
