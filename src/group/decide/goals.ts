/**
 * A member's goal follows from the group's record alone: who is primary, what is under way, and which members the
 * manifest names. Rules change those; nobody sets a goal by hand, so no goal can be forgotten.
 */
import { same } from '../../same.ts';
import type { Context } from './context.ts';
import { followerName, remake } from './proof.ts';
import { synchronousNames } from './quorum.ts';
import { siteSlots, standbySiteGoal } from './standby-site.ts';
import { baseOf, upstreamOf } from './source.ts';
import type { Endpoint, Goal, MemberRecord } from '../model.ts';

/** Physical slots of members: PostgreSQL allows lower-case letters, digits and underscores. */
export const slotName = (member: string): string => `pgorbit_${member.replaceAll('-', '_')}`;

/** Holds what is not archived yet on everybody who has, or may get, the primary's role. No member's slot has this name. */
export const ARCHIVE_SLOT = 'pgorbit__archive';

/** Brings every member's goal in line with the record. */
export function settleGoals(context: Context): void {
  for (const member of Object.values(context.record.members)) {
    const goal = goalOf(context, member);
    if (same(goal, member.goal)) continue;
    context.changeMember(member.name, { goal });
    // Named again before it was gone: nobody knows what is left of its data, and reports of them prove nothing.
    if (member.goal.kind === 'remove') remake(context, member.name);
  }
}

/** The first row that applies. */
function goalOf(context: Context, member: MemberRecord): Goal {
  const { record, spec } = context;
  const operation = record.operation;
  // No longer in the manifest: goes, unless it still is what everyone depends on.
  if (spec.members[member.name] === undefined && !isNeeded(context, member.name)) return { kind: 'remove' };
  // The group does not exist yet: its first member makes it.
  if (record.systemIdentifier === null) return { kind: context.input.site?.role === 'standby' ? 'stop' : 'create' };
  // Nobody here accepts writes: one follows the other site, and the others follow that one.
  if (record.standbySite === true) return standbySiteGoal(context, member);
  if (record.promotion !== null) {
    const { candidate, phase, predecessors, acceptLoss, timeline, catchUp, atLeast } = record.promotion;
    const local = spec.storage === 'local';
    // A standby has no vote: it waits on the line, as everybody does on shared storage.
    if (phase === 'promise' && member.role !== 'standby') return { kind: 'promise' };
    if (phase === 'promote' && member.name === candidate) {
      return { kind: 'promote', predecessors, acceptLoss, synchronousNames: namesFor(context, candidate), timeline, catchUp, atLeast, slots: slots(context, candidate, candidate) };
    }
    if (local && predecessors.some((one) => one.member === member.name)) return { kind: 'promise' };
    // On local storage those who promised follow the candidate at once: the first commit needs them.
    if (local && member.role !== 'standby') return followOf(context, member, candidate);
    // Whoever may have accepted writes stays down until there is a new primary to follow.
    if (predecessors.some((one) => one.member === member.name)) return { kind: 'stop' };
    // The others wait on the line: whom they will follow is not known before the promotion is done.
    return member.goal.kind === 'follow' ? member.goal : { kind: 'stop' };
  }
  // The other site is to be primary: what this one has is written out, then its primary stops cleanly.
  const handOver = context.input.site?.handOver ?? null;
  if (handOver !== null && member.name === record.primary) return { kind: handOver };
  if (operation?.kind === 'switchover') {
    if (operation.step === 'checkpoint' && (member.name === operation.from || member.name === operation.to)) return { kind: 'checkpoint' };
    if (operation.step === 'stop' && member.name === operation.from) return { kind: 'stop' };
    // What takes a moment is there when it takes over.
    if (operation.step === 'stop' && member.name === operation.to && record.primary !== null) {
      const next = { slots: slots(context, operation.to, operation.to), synchronousNames: namesFor(context, operation.to, record.term + 1) };
      return { ...followOf(context, member, record.primary), ...next };
    }
  }
  if (operation?.kind === 'reclone' && operation.step === 'drain' && member.name === operation.current) {
    return { kind: 'drain', patient: !operation.cut };
  }
  if (member.name === record.primary) return { kind: 'primary', slots: slots(context, record.primary, record.primary), synchronousNames: namesFor(context, record.primary), change: record.voterChanges };
  if (record.primary === null) return member.goal.kind === 'follow' ? member.goal : { kind: 'stop' };
  return followOf(context, member, record.primary);
}

export function followOf(context: Context, member: MemberRecord, primary: string): Extract<Goal, { kind: 'follow' }> {
  const upstream = context.member(upstreamOf(context, member, primary));
  const kept = slots(context, member.name, primary);
  return {
    kind: 'follow', upstream: endpoint(upstream), slot: slotName(member.name), name: followerName(context, member),
    ...baseFor(context, member, primary),
    ...(upstream.role === 'logger' ? { makesSlot: true } : {}),
    ...(kept.length === 0 ? {} : { slots: kept }),
  };
}

function baseFor(context: Context, member: MemberRecord, primary: string): { base?: Endpoint } {
  const base = baseOf(context, member, primary);
  return base === null ? {} : { base: endpoint(context.member(base)) };
}

/** A change of the voters is asked for by the names of the new ones. */
function namesFor({ record }: Context, primary: string, term = record.term): string {
  return synchronousNames(record.voterChange?.to ?? record.voters, primary, term);
}

/**
 * The primary, the voters, and while another takes over: the candidate, and those whose WAL it has yet to read. The
 * first member, too: it may be in use before the decider hears that it is made.
 */
function isNeeded({ record }: Context, name: string): boolean {
  const { primary, promotion, systemIdentifier, voters, voterChange } = record;
  if (voters.includes(name) || voterChange?.to.includes(name)) return true;
  return systemIdentifier === null || name === primary || name === promotion?.candidate || promotion?.predecessors.some(({ member }) => member === name) === true;
}

/**
 * On `holder` one slot for each member that follows it: none for one that goes, so that it never pins WAL, unless it
 * still votes. A logger's followers make theirs themselves. Beside the primary the electable ones hold what the archive
 * lacks: whoever is promoted has it.
 */
export function slots(context: Context, holder: string, primary: string): string[] {
  const role = context.record.members[holder]?.role;
  if (role === 'logger') return [];
  const followers = Object.values(context.record.members)
    .filter(({ name }) => name !== holder && name !== primary && (context.spec.members[name] !== undefined || isNeeded(context, name)))
    .filter((member) => upstreamOf(context, member, primary) === holder)
    .map(({ name }) => slotName(name));
  const archived = (context.record.archive?.host ?? null) !== null && role !== 'standby';
  return [...followers, ...(archived ? [ARCHIVE_SLOT] : []), ...(holder === primary ? siteSlots(context) : [])].sort();
}

export function endpoint(member: MemberRecord): Endpoint {
  return { member: member.name, address: member.address, port: member.port };
}

/** As people are shown it: `n1`, or `a/n1` of the other site a. */
export const shownAs = ({ site, member }: Endpoint): string => (site === undefined ? member : `${site}/${member}`);
