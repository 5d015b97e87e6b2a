/**
 * A group on a standby site: one member leads and follows the other site, the others follow it. Nothing is acknowledged
 * here, so that nobody is elected, nobody votes, and a leader that is lost is replaced without more ado.
 */
import { candidates, comparePositions, isIn, positionOf, streams, type Context } from './context.ts';
import { finish } from './finish.ts';
import { followOf, slots } from './goals.ts';
import { newMember } from './members.ts';
import { proveByTimeline, remake } from './proof.ts';
import { nextTimeline, withTimelines } from './timelines.ts';
import type { Goal, MemberRecord } from '../model.ts';

/** A leading member that is down is started again at once by its agent: this long it has for that. */
const LEADER_MS = 3_000;

/** The record of a group that begins as a copy. False while it is not known of what. */
export function beginStandby(context: Context): boolean {
  const upstream = context.input.site?.upstream ?? null;
  const first = Object.values(context.spec.members).find((member) => member.role === 'primary');
  if (upstream === null || !upstream.writable || first === undefined) return false;
  context.change({
    systemIdentifier: upstream.systemIdentifier, term: 1, primary: first.name, standbySite: true, timelines: upstream.timelines,
    members: { [first.name]: newMember(context, first.name) },
  });
  context.tell({ level: 'info', kind: 'group-created', member: first.name, message: `group ${context.record.group} begins as a copy of the database system ${upstream.systemIdentifier}: ${first.name} follows the other site` });
  return true;
}

/**
 * The other site has become the primary one. After a hand-over everybody follows as it is; otherwise whoever may have
 * accepted writes may have what nobody there has, and is put right before it follows.
 */
export function demoted(context: Context): boolean {
  const { record, input } = context;
  if (input.site?.role !== 'standby' || record.standbySite === true) return false;
  const { promotion } = record;
  const leader = record.primary ?? promotion?.candidate;
  // Its first member is only being made: it is forgotten, and made as a copy.
  if (leader === undefined || record.systemIdentifier === null) return false;
  const writers = new Set([record.primary, promotion?.candidate, ...(promotion?.predecessors ?? []).map(({ member }) => member)]);
  if (record.operation !== null) finish(context, false, 'interrupted: the other site is the primary one now');
  context.change({ standbySite: true, term: record.term + 1, primary: leader, promotion: null, voters: [], voterChange: null });
  for (const { name } of Object.values(record.members)) {
    if (!input.site.handedOver && writers.has(name)) remake(context, name, { renewal: 'rewind' });
  }
  context.tell({ level: 'warning', kind: 'group-demoted', member: leader, message: `group ${record.group} accepts no more writes in term ${context.record.term}: ${leader} follows the other site` });
  return true;
}

/** This site is the primary one, or on its own: the group gets a primary by the ordinary promotion. */
export function takeOverSite(context: Context): boolean {
  const { record, input, spec } = context;
  if (input.site?.role === 'standby' || record.standbySite !== true) return false;
  const end = input.site?.end ?? null;
  const local = spec.storage === 'local';
  const able = candidates(context).filter((name) => end === null || comparePositions(positionOf(context.report(name)), end) >= 0);
  const candidate = able.find((name) => name === record.primary) ?? able[0];
  if (candidate === undefined) return false;
  if (record.operation !== null) finish(context, false, 'interrupted: this site becomes the primary one');
  const { standbySite: _standbySite, ...plain } = context.record;
  context.record = {
    ...plain, term: record.term + 1, primary: null, voters: end === null ? [] : firstVoters(context, candidate),
    promotion: {
      // Where it is known that this one has everything nobody need be asked.
      phase: local && end === null ? 'promise' : 'promote', candidate, timeline: nextTimeline(context), catchUp: null, atLeast: local ? end : null, predecessors: [], primary: null, acceptLoss: false,
      planned: true, attempts: 0, operation: null,
    },
  };
  // All that there is here came from the other site, which has stopped: nobody can have more than the candidate.
  if (end !== null) proveByTimeline(context, candidate);
  context.tell({ level: 'info', kind: 'site-promotion', member: candidate, message: `this site is the primary one: group ${record.group} gets a primary in term ${context.record.term}` });
  return true;
}

/**
 * Nothing was ever acknowledged under the votes of a standby site, so that all who keep up may vote from its first commit
 * on. After a loss of the other site nobody waits for anybody: there the voters come one by one.
 */
function firstVoters(context: Context, candidate: string): string[] {
  const { record, spec } = context;
  if (spec.commit !== 'quorum') return [];
  const follows = ({ name, role, joined }: MemberRecord): boolean => role !== 'standby' && joined && isIn(context, name) && context.report(name) !== null && streams(context, name);
  return Object.values(record.members).filter((member) => member.name === candidate || follows(member)).map(({ name }) => name).sort();
}

/**
 * The leading member is lost for this site: down for a while, or not heard of by anybody. One whose data are being put
 * right or copied is at work, and is waited for.
 */
export function leaderLost(context: Context): boolean {
  const { record, spec } = context;
  if (record.primary === null || record.standbySite !== true) return false;
  const leader = context.member(record.primary);
  const report = context.report(leader.name);
  const heard = Object.keys(record.members).some((name) => context.report(name)?.streamingFrom === `${leader.address}:${leader.port}`);
  const silent = context.silence(leader.name) >= spec.electionTimeoutMs + spec.electionDelayMs && !heard;
  const down = context.heldFor(`leader-down:${leader.name}:${record.term}`, report !== null && report.pid === null && report.state !== 'attaching') > LEADER_MS;
  if (!silent && !down) return false;
  const next = candidates(context).find((name) => name !== leader.name);
  if (next === undefined) return false;
  context.change({ primary: next, term: record.term + 1 });
  context.tell({ level: 'warning', kind: 'leader-lost', member: next, message: `${leader.name} ${silent ? 'is not heard of' : 'is down'}: ${next} follows the other site in its place` });
  return true;
}

/** Where the other site's timelines part from each other is what tells whose data contradict it. */
export function learnTimelines(context: Context): boolean {
  const known = context.record.timelines;
  const timelines = withTimelines(known, context.input.site?.upstream?.timelines ?? []);
  if (timelines === known) return false;
  context.change({ timelines });
  return true;
}

/** The goal of a member whose record, manifest and operation ask for nothing else. */
export function standbySiteGoal(context: Context, member: MemberRecord): Goal {
  const { record, input } = context;
  const { operation, primary } = record;
  if (operation?.kind === 'reclone' && operation.step === 'drain' && member.name === operation.current) return { kind: 'drain', patient: !operation.cut };
  const stay: Goal = member.goal.kind === 'follow' ? member.goal : { kind: 'stop' };
  const upstream = input.site?.upstream ?? null;
  if (primary === null) return stay;
  // Data are copied, and put right, from a server that accepts writes.
  if (!member.joined && upstream?.writable !== true) return stay;
  const other = upstream?.endpoint ?? null;
  if (member.name !== primary) {
    const goal = followOf(context, member, primary);
    return goal.kind === 'follow' && member.role !== 'logger' && other !== null ? { ...goal, rewindFrom: other } : goal;
  }
  if (other === null || input.site === null) return stay;
  const kept = slots(context, member.name, primary);
  return { kind: 'follow', upstream: other, slot: input.site.slot, name: input.site.name, ...(kept.length === 0 ? {} : { slots: kept }) };
}

/** The other site's slot on whoever leads here. */
export const siteSlots = ({ input }: Context): string[] => (input.site?.peerSlot == null ? [] : [input.site.peerSlot]);
