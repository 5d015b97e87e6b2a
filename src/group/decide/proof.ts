/**
 * Whose WAL is known to be a beginning of the primary's. They alone follow under a name that carries the term, and so
 * count for commits. A standby that has more than the timeline which it asks for was continued with says in its first
 * words how far it has replayed, and PostgreSQL counts that for commits of the new timeline that it will never have
 * (WalReceiverMain in walreceiver.c begins at GetXLogReplayRecPtr(); SyncRepGetCandidateStandbys in syncrep.c looks at the
 * name and the state alone).
 */
import { covers, type Context } from './context.ts';
import { NO_TERM } from './quorum.ts';
import type { MemberRecord, WalPosition } from '../model.ts';

export const isProven = ({ record }: Context, member: MemberRecord): boolean => member.provenIn === record.term;

/** application_name of a member that follows. */
export const followerName = (context: Context, member: MemberRecord): string => `${member.name}@${isProven(context, member) ? context.record.term : NO_TERM}`;

/** Its data are made anew, from somebody who is a beginning of the present primary. */
export function remake(context: Context, name: string, how: Partial<Pick<MemberRecord, 'rebuilds' | 'renewal'>> = {}): void {
  context.changeMember(name, { incarnation: context.member(name).incarnation + 1, joined: false, provenIn: context.record.term, ...how });
}

/** Those who promised no more of the very timeline than the best has: one that is on another may have left it. */
export function proveByPromise(context: Context, promised: readonly { member: MemberRecord; position: WalPosition }[], best: WalPosition): void {
  for (const { member, position } of promised) {
    if (covers(best, position)) prove(context, member.name);
  }
}

/** A new term whose primary has all that the one of `term` had: whoever was a beginning of that one is one of this. */
export function proveAsBefore(context: Context, term: number): void {
  for (const { name, provenIn } of Object.values(context.record.members)) if (provenIn === term) prove(context, name);
}

/** Those who are on the timeline of `leading`: PostgreSQL goes over to it only from where it begins. @returns whether that is news */
export function proveByTimeline(context: Context, leading: string): boolean {
  const timeline = context.report(leading)?.timeline ?? null;
  if (timeline === null) return false;
  const found = Object.values(context.record.members).filter((member) => {
    const report = context.report(member.name);
    return !isProven(context, member) && report?.incarnation === member.incarnation && report.timeline === timeline;
  });
  for (const { name } of found) prove(context, name);
  return found.length > 0;
}

/** The rule: a member that could not promise, for example, has come to the primary's timeline. */
export function proven(context: Context): boolean {
  const { primary, promotion } = context.record;
  return primary !== null && promotion === null && proveByTimeline(context, primary);
}

const prove = (context: Context, name: string): void => context.changeMember(name, { provenIn: context.record.term });
