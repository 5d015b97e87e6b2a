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
  context.change({ voterChange: { to, lsn: null } });
  const added = to.find((name) => !voters.includes(name));
  const gone = voters.find((name) => !to.includes(name));
  const message = added !== undefined ? `${added} becomes a voter` : `${gone} no longer votes`;
  context.tell({ level: 'info', kind: 'voters-change', member: added ?? gone ?? primary, message: `${message}: ${describe(to)}` });
  return true;
}

/** The voters with one more or one less, or null when they are as they should be. */
function nextVoters(context: Context, primary: string): string[] | null {
  const { record, spec } = context;
  const { voters } = record;
  const wanted = (name: string): boolean => spec.commit === 'quorum' && isIn(context, name) && record.members[name]?.role !== 'standby';
  // The primary alone decides nothing together with others: it begins and ends a quorum.
  if (!voters.includes(primary) && wanted(primary)) return [...voters, primary].sort();
  const added = Object.keys(record.members).sort().find((name) => !voters.includes(name) && wanted(name) && keepsUp(context, name, primary));
  // Not in the same decision that took it back.
  if (added !== undefined && context.heldFor(`add-voter:${added}`, true) > 0) return [...voters, added].sort();
  const gone = voters.find((name) => !wanted(name) && name !== primary) ?? voters.find((name) => !wanted(name) && voters.length === 1);
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
  const change = record.voterChange;
  const report = context.report(primary);
  if (change === null || report === null) return false;
  const asks = report.goalTerm === record.term && report.synchronousNames === synchronousNames(change.to, primary, record.term);
  if (change.lsn === null) {
    if (asks && report.lsn !== null) {
      context.change({ voterChange: { ...change, lsn: report.lsn } });
      return true;
    }
  } else {
    const needed = acknowledgementsOf(change.to.length);
    const have = new Set(report.followers.filter((one) => change.to.includes(one.name) && one.term === record.term && lsnNumber(one.flush) >= lsnNumber(change.lsn)).map(({ name }) => name));
    if (asks && have.size >= needed) {
      context.change({ voters: change.to, voterChange: null });
      context.tell({ level: 'info', kind: 'voters-changed', message: `the voters are ${describe(change.to)}` });
      return true;
    }
  }
  // Only an addition is taken back: to wait for a member that is to go would be to wait for the dead.
  const adds = change.to.some((name) => !record.voters.includes(name));
  if (!adds || context.heldFor(`voters:${change.to.join()}`, true) < spec.membershipTimeoutMs) return false;
  context.change({ voters: change.to, voterChange: { to: record.voters, lsn: null } });
  context.tell({ level: 'warning', kind: 'voters-back', message: `the change of the voters was not confirmed within ${spec.membershipTimeoutMs / 1000} s: they stay ${describe(record.voters)}` });
  return true;
}

const describe = (voters: string[]): string =>
  voters.length === 0 ? 'no longer asked: a commit needs the primary alone' : `${voters.join(', ')}: a commit needs the primary and ${acknowledgementsOf(voters.length)} more`;
