/**
 * Who votes: members of a quorum group that keep up. The set changes by one voter at a time, and until the change is
 * confirmed an election needs the agreement of the old set and of the new one.
 */
import { isIn, lsnNumber, streams, type Context } from './context.ts';
import { acknowledgementsOf, synchronousNames } from './quorum.ts';

export function settleVoters(context: Context): boolean {
  const { record } = context;
  if (record.primary === null || record.promotion !== null || !context.report(record.primary)?.ready) return false;
  return record.voterChange === null ? begin(context, record.primary) : confirm(context, record.primary);
}

function begin(context: Context, primary: string): boolean {
  const { voters } = context.record;
  const to = nextVoters(context, primary);
  if (to === null) return false;
  change(context, voters, to);
  const added = to.find((name) => !voters.includes(name));
  const gone = voters.find((name) => !to.includes(name));
  const message = added !== undefined ? `${added} becomes a voter` : `${gone} no longer votes`;
  context.tell({ level: 'info', kind: 'voters-change', member: added ?? gone ?? primary, message: `${message}: ${describe(to)}` });
  return true;
}

/** From `voters` to `to`, as a change of its own: what the primary says of an earlier one does not count for it. */
function change(context: Context, voters: string[], to: string[]): void {
  const number = context.record.voterChanges + 1;
  context.change({ voters, voterChanges: number, voterChange: { number, to, lsn: null } });
}

/** The voters with one more or one less, or null when they are as they should be. */
function nextVoters(context: Context, primary: string): string[] | null {
  const { record, spec } = context;
  const { voters } = record;
  const quorum = spec.commit === 'quorum';
  // The primary votes for as long as it is the primary, whatever the manifest says of it.
  const wanted = (name: string): boolean => quorum && (name === primary || (isIn(context, name) && record.members[name]?.role !== 'standby'));
  if (!voters.includes(primary) && quorum) return [...voters, primary].sort();
  const added = Object.keys(record.members).sort().find((name) => !voters.includes(name) && wanted(name) && keepsUp(context, name, primary));
  // Not in the same decision that took it back.
  if (added !== undefined && context.heldFor(`add-voter:${added}`, true) > 0) return [...voters, added].sort();
  const gone = voters.find((name) => name !== primary && !wanted(name)) ?? (quorum ? undefined : voters[0]);
  return gone === undefined ? null : voters.filter((name) => name !== gone);
}

/** Streams in this term, and lacks little: otherwise commits would wait until it has caught up. */
function keepsUp(context: Context, name: string, primary: string): boolean {
  const { record, spec } = context;
  const member = record.members[name];
  const report = context.report(primary);
  const follower = report?.followers.find((one) => one.name === name && one.term === record.term);
  if (!member?.joined || context.report(name)?.incarnation !== member.incarnation || follower?.flush == null || !streams(context, name)) return false;
  return lsnNumber(report?.lsn ?? null) - lsnNumber(follower.flush) <= spec.joinLagBytes;
}

/**
 * Confirmed when a position of the primary from after it asked the new set is on as many of that set as a commit needs:
 * whatever was acknowledged before, under whichever set, is then there as well.
 */
function confirm(context: Context, primary: string): boolean {
  const { record, spec } = context;
  const under = record.voterChange;
  const report = context.report(primary);
  if (under === null || report === null) return false;
  const asks = report.goalTerm === record.term && report.change === under.number && report.synchronousNames === synchronousNames(under.to, primary, record.term);
  if (under.lsn === null) {
    if (asks && report.lsn !== null) {
      context.change({ voterChange: { ...under, lsn: report.lsn } });
      return true;
    }
  } else {
    const needed = acknowledgementsOf(under.to.length);
    const have = new Set(report.followers.filter((one) => under.to.includes(one.name) && one.term === record.term && lsnNumber(one.flush) >= lsnNumber(under.lsn)).map(({ name }) => name));
    if (asks && have.size >= needed) {
      context.change({ voters: under.to, voterChange: null });
      context.tell({ level: 'info', kind: 'voters-changed', message: `the voters are ${describe(under.to)}` });
      return true;
    }
  }
  // Only an addition is taken back: to wait for a member that is to go would be to wait for the dead.
  const adds = under.to.some((name) => !record.voters.includes(name));
  if (!adds || context.heldFor(`voters:${under.to.join()}`, true) < spec.membershipTimeoutMs) return false;
  change(context, under.to, record.voters);
  context.tell({ level: 'warning', kind: 'voters-back', message: `the change of the voters was not confirmed within ${spec.membershipTimeoutMs / 1000} s: they stay ${describe(record.voters)}` });
  return true;
}

const describe = (voters: string[]): string =>
  voters.length === 0 ? 'no longer asked: a commit needs the primary alone' : `${voters.join(', ')}: a commit needs the primary and ${acknowledgementsOf(voters.length)} more`;
