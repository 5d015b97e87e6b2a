/** What a group's record and reports say to its site. Pure. */
import type { Seen } from '../group/decide/context.ts';
import type { GroupRecord } from '../group/model.ts';
import { leaderReport, positionIn } from './answer.ts';
import type { GroupFacts } from './decide.ts';

export function factsOf(record: GroupRecord | undefined, seen: Readonly<Record<string, Seen>>, now: number): GroupFacts {
  const report = record === undefined ? null : leaderReport(record, seen, now);
  const leader = record?.primary == null ? undefined : record.members[record.primary];
  const unknown: GroupFacts = { state: 'unknown', end: null, position: positionIn(report) };
  if (record === undefined || report === null || leader === undefined || record.promotion !== null || report.goalTerm !== record.term) return unknown;
  if (report.pid === null) {
    // How it went down is read a moment after it is seen to be down, and so is where its WAL ends.
    if (report.cleanStop === false) return { ...unknown, state: 'failed' };
    const stopped = leader.goal.kind === 'stop' && report.reached === 'stop' && report.cleanStop === true && report.stoppedAt !== null;
    return stopped ? { ...unknown, state: 'stopped', end: report.stoppedAt } : unknown;
  }
  if (!report.ready || report.inRecovery !== false) return unknown;
  return { ...unknown, state: leader.goal.kind === 'checkpoint' && report.reached === 'checkpoint' ? 'checkpointed' : 'ready' };
}
