/** What clients were told in a round, and the rules that it has to keep. Pure; times are ms of the machine's monotonic clock. */

/** A commit that was acknowledged. */
export interface Ack {
  /** The session that wrote it; it numbers its rows. */
  w: number;
  n: number;
  sent: number;
  acked: number;
  member: string;
  /** The timeline that it was written on. */
  timeline: number;
}

/** A row that somebody read. */
export interface Sight {
  w: number;
  n: number;
  at: number;
  member: string;
  /** Read on a member in recovery. */
  recovery: boolean;
}

/** The member was seen to be out of recovery from one moment to another, and nothing else in between. */
export interface OpenSpan {
  member: string;
  from: number;
  to: number;
}

export interface BankSum {
  member: string;
  at: number;
  sum: number;
}

export const rowKey = (row: { w: number; n: number }): string => `${row.w}:${row.n}`;

/** Those of `rows` that the table does not hold. */
export function missing<T extends { w: number; n: number }>(rows: readonly T[], present: ReadonlySet<string>): T[] {
  return rows.filter((row) => !present.has(rowKey(row)));
}

/**
 * Commits that were sent to one member after another had acknowledged one on a later timeline: two primaries. An
 * answer that merely arrives late, to a commit sent before, proves nothing.
 */
export function staleAcks(acks: readonly Ack[]): { stale: Ack; newer: Ack }[] {
  const first = new Map<number, Ack>();
  for (const ack of acks) if (ack.acked < (first.get(ack.timeline)?.acked ?? Infinity)) first.set(ack.timeline, ack);
  const firsts = [...first.values()];
  return acks.flatMap((stale) => {
    const newer = firsts.find((one) => one.timeline > stale.timeline && one.member !== stale.member && one.acked < stale.sent);
    return newer === undefined ? [] : [{ stale, newer }];
  });
}

/** Timelines on which more than one member acknowledged. */
export function sharedTimelines(acks: readonly Ack[]): { timeline: number; members: string[] }[] {
  const members = new Map<number, Set<string>>();
  for (const { timeline, member } of acks) members.set(timeline, (members.get(timeline) ?? new Set()).add(member));
  return [...members].filter(([, names]) => names.size > 1).map(([timeline, names]) => ({ timeline, members: [...names].sort() }));
}

/** When two members were both out of recovery, the longest of each pair first. No failure by itself: an old primary that is cut off acknowledges nothing. */
export function bothOpen(spans: readonly OpenSpan[]): { members: [string, string]; from: number; ms: number }[] {
  const found: { members: [string, string]; from: number; ms: number }[] = [];
  for (const [i, a] of spans.entries()) {
    for (const b of spans.slice(i + 1)) {
      const [from, to] = [Math.max(a.from, b.from), Math.min(a.to, b.to)];
      if (a.member !== b.member && to > from) found.push({ members: [a.member, b.member], from, ms: to - from });
    }
  }
  return found.sort((a, b) => b.ms - a.ms);
}

/** The longest time without an acknowledgement between two moments. */
export function longestGap(acks: readonly Ack[], from: number, to: number): number {
  const times = [from, ...acks.map((ack) => ack.acked).filter((at) => at > from && at < to).sort((a, b) => a - b), to];
  return Math.max(...times.slice(1).map((at, i) => at - (times[i] as number)));
}
