/** Whom a member takes its WAL from. Pure. */
import { followedBy, isElectable, isIn, lsnNumber, positionOf, streams, type Context } from './context.ts';
import type { MemberRecord, Role } from '../model.ts';

/** How long a standby's source may be unwell before the standby turns to the primary. */
const LOST_MS = 5_000;
/** How long it must have been well before the standby turns back to it. */
const BACK_MS = 10_000;

const ROLES: ReadonlySet<string> = new Set<Role>(['replica', 'logger', 'standby']);

/**
 * The primary, unless this is a standby for which the manifest names another source, and that one is there and well. A
 * source that falters for a moment is kept; one that comes back is taken again when it has proved itself. A standby that
 * has not joined yet takes the source at once. A logger is a source only to whom it can give the next WAL: it begins where
 * the primary was when it came, and purges.
 */
export function upstreamOf(context: Context, member: MemberRecord, primary: string): string {
  const present = followedBy(member.goal);
  const found = sources(context, member).filter((name) => name !== primary).map((name) => {
    const reaching = reaches(context, name, member);
    const well = isWell(context, name) && reaching !== 'no';
    const lost = context.heldFor(`source-lost:${member.name}:${name}`, !well);
    const back = context.heldFor(`source-well:${member.name}:${name}`, well);
    const given = reaching === 'yes' && (!member.joined || back >= BACK_MS);
    return { name, kept: name === present && lost < LOST_MS && (member.joined || reaching === 'yes'), taken: well && given };
  });
  return (found.find(({ kept }) => kept) ?? found.find(({ taken }) => taken))?.name ?? primary;
}

/** The members that the manifest means, by name. */
function sources(context: Context, member: MemberRecord): string[] {
  const wanted = context.spec.members[member.name]?.source ?? null;
  if (member.role !== 'standby' || wanted === null) return [];
  const named = context.spec.members[wanted] !== undefined ? [wanted] : [];
  const meant = named.length > 0 || !ROLES.has(wanted) ? named : Object.keys(context.record.members).filter((name) => context.record.members[name]?.role === wanted).sort();
  return meant.filter((name) => isIn(context, name) && !follows(context, name, member.name));
}

/** Does `name` get its WAL from `source`, however many members lie between, or is it the same? */
function follows(context: Context, name: string, source: string): boolean {
  const seen = new Set<string>();
  for (let at: string | undefined = name; at !== undefined && !seen.has(at);) {
    if (at === source) return true;
    seen.add(at);
    at = followedBy(context.record.members[at]?.goal) ?? undefined;
  }
  return false;
}

/** It runs on its present data and receives WAL itself. */
function isWell(context: Context, name: string): boolean {
  const member = context.member(name);
  const report = context.report(name);
  return member.joined && report !== null && report.incarnation === member.incarnation && report.ready && streams(context, name);
}

/** Does its WAL go back to what `member` has? Nobody knows while that one is started or copied. */
function reaches(context: Context, source: string, member: MemberRecord): 'yes' | 'no' | 'unknown' {
  if (context.member(source).role !== 'logger') return 'yes';
  const oldest = context.report(source)?.oldest ?? null;
  const { timeline, lsn } = positionOf(context.report(member.name));
  if (timeline === 0 || oldest === null) return 'unknown';
  return lsnNumber(oldest) <= lsnNumber(lsn) ? 'yes' : 'no';
}

/**
 * Whose data a standby copies whose WAL is to come from a logger: a replica's, so that the primary has no load of it.
 * Null for one that copies whom it follows.
 */
export function baseOf(context: Context, member: MemberRecord, primary: string): string | null {
  if (!sources(context, member).some((name) => context.member(name).role === 'logger')) return null;
  return Object.keys(context.record.members).sort().find((name) => name !== primary && isElectable(context, name) && streams(context, name)) ?? primary;
}
