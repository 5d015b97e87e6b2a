/** Which WAL a restore of a backup would replay, and what of it is missing. Pure. */
import { PgorbitError } from '../errors.ts';
import { segmentTimeline } from '../wal/files.ts';
import { type TimelineHistory, isAncestor, parseHistory } from '../wal/history.ts';
import { type Lsn, parseLsn, parseSegmentName, segmentName, segmentStart } from '../wal/lsn.ts';

export interface ChainInput {
  backup: { timeline: number; startLsn: string; stopLsn: string; segmentSize: number };
  /** Names of the files in the backup's own pg_wal. */
  own: readonly string[];
  /** Names in the archive, `.partial` and `.history` ones too. */
  archived: readonly string[];
  /** The text of each history file of either, by timeline. */
  histories: ReadonlyMap<number, string>;
}

export interface Chain {
  /** The newest timeline that the backup lies on. */
  history: TimelineHistory;
  /** Segments that a restore replays, in order; `partial` for one that is archived as far as it was written. */
  segments: { name: string; start: Lsn; archived: boolean; partial: boolean }[];
  /** Segments between the backup's start and the newest one that nobody has. */
  missing: string[];
  /** No WAL at or after this position can be replayed: where the first missing segment, or the archive's end, is. */
  end: Lsn;
}

/** Throws PgorbitError `wal-invalid` for a history file that cannot be read. */
export function walChain(input: ChainInput): Chain {
  const { backup } = input;
  const size = backup.segmentSize;
  const history = newestHistory(input);
  const archived = new Set(input.archived);
  const own = new Set(input.own);
  const find = (start: Lsn): Chain['segments'][number] | string => {
    const name = segmentName(segmentTimeline(history, start, size), start, size);
    if (archived.has(name)) return { name, start, archived: true, partial: false };
    if (own.has(name)) return { name, start, archived: false, partial: false };
    return archived.has(`${name}.partial`) ? { name, start, archived: true, partial: true } : name;
  };
  const last = [...input.own, ...input.archived.map((name) => name.replace(/\.partial$/, ''))].reduce<Lsn>((most, name) => {
    const id = parseSegmentName(name, size);
    return id !== null && id.start > most && id.timeline === segmentTimeline(history, id.start, size) ? id.start : most;
  }, 0n);
  const segments: Chain['segments'] = [];
  const missing: string[] = [];
  let end: Lsn | null = null;
  const first = segmentStart(parseLsn(backup.startLsn), size);
  // The backup ends at the beginning of a segment that nothing was written to yet, when it ends at a segment's edge.
  const least = segmentStart(parseLsn(backup.stopLsn) - 1n, size);
  const stop = last > least ? last : least;
  for (let start = first; start <= stop; start += BigInt(size)) {
    const found = find(start);
    if (typeof found === 'string') {
      missing.push(found);
      end ??= start;
    } else {
      segments.push(found);
      if (found.partial && start < stop) {
        missing.push(found.name);
        end ??= start;
      }
    }
  }
  return { history, segments, missing, end: end ?? stop + BigInt(size) };
}

/** The newest timeline whose history holds the backup's end; the backup's own where there is no newer one. */
function newestHistory({ backup, histories }: ChainInput): TimelineHistory {
  const point = { timeline: backup.timeline, lsn: parseLsn(backup.stopLsn) };
  const parsed = [...histories].map(([timeline, text]) => parseHistory(timeline, text)).sort((a, b) => b.timeline - a.timeline);
  const found = parsed.find((one) => isAncestor(one, point));
  if (found !== undefined) return found;
  if (backup.timeline > 1) throw new PgorbitError('backup-damaged', `the history of timeline ${backup.timeline} is missing: nobody can tell which WAL belongs to it`, { hint: 'use another backup' });
  return { timeline: backup.timeline, parents: [] };
}
