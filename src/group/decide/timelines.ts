/** The numbers of a group's timelines, and where they begin. Pure. */
import { lsnNumber, type Context, type Seen } from './context.ts';
import type { GroupRecord, TimelineBegin, WalPosition } from '../model.ts';

/** Switch points that are remembered, for members that come back late. */
const KEPT = 50;

type Timelines = GroupRecord['timelines'];

/** What is remembered when these have begun, the newest last: the same object where they are known. */
export function withTimelines(known: Timelines, begun: Timelines): Timelines {
  const fresh = begun.filter(({ timeline }) => !known.some((one) => one.timeline === timeline));
  return fresh.length === 0 ? known : [...known, ...fresh].sort((a, b) => a.timeline - b.timeline).slice(-KEPT);
}

/**
 * The timeline that left `position` behind, if one did: what lies beyond its begin on an older one is nobody's any more. Not every
 * timeline goes on from the one before it: without a quorum a successor may never have had that.
 */
export const leftBy = (timelines: Timelines, { timeline, lsn }: WalPosition): TimelineBegin | undefined =>
  timelines.find((one) => one.timeline > timeline && lsnNumber(lsn) > lsnNumber(one.begin));

/** The highest that was handed out here, or seen. */
export function newestTimeline(record: GroupRecord, seen: Readonly<Record<string, Seen>>): number {
  const reported = Object.values(seen).map(({ report }) => report.timeline ?? 1);
  return Math.max(1, record.promotion?.timeline ?? 1, ...record.timelines.map(({ timeline }) => timeline), ...reported);
}

/**
 * Higher than any that was handed out or seen, as nobody would notice the difference between two of one number. Of two
 * sites each has numbers of its own, the odd or the even ones: neither knows what the other began while they were parted.
 */
export function nextTimeline({ record, input }: Context): number {
  const next = Math.max(newestTimeline(record, input.seen), input.site?.upstream?.newest ?? 1) + 1;
  return input.site === null || next % 2 === input.site.side ? next : next + 1;
}
