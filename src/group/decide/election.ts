/**
 * Who takes over where no shared volume holds the old primary's WAL: the voters promise the new term, each says what
 * it has, and the one with the most is promoted, after it has fetched what somebody else has more.
 */
import { comparePositions, leaseOverMs, lsnNumber, positionOf, type Context } from './context.ts';
import { endpoint } from './goals.ts';
import { proveByPromise } from './proof.ts';
import { leftBy } from './timelines.ts';
import { mayElect } from './quorum.ts';
import type { MemberRecord, Predecessor, Promotion, WalPosition } from '../model.ts';

/** With `commit: async` no count of promises proves anything: whoever answers within this time is considered. */
const ASYNC_WAIT_MS = 1_000;
/** How long those who never accepted writes are waited for, where the others are enough. */
const WRITERS_WAIT_MS = 2_000;
/** The pause before another promise phase, doubled with each that failed, and its limit. */
const ATTEMPT_MS = 250;
const ATTEMPT_LIMIT_MS = 10_000;

interface Promiser {
  member: MemberRecord;
  position: WalPosition;
}

/** A promise counts when its data are whole: of the present incarnation, once healthy in it, and not being deleted. */
export function promisers(context: Context): Promiser[] {
  const { record } = context;
  return Object.values(record.members).flatMap((member) => {
    const report = context.report(member.name);
    if (report?.promised?.term !== record.term || report.incarnation !== member.incarnation || !member.joined || member.goal.kind === 'remove') return [];
    return member.role === 'standby' ? [] : [{ member, position: report.promised }];
  });
}

/** Its agent says in this term that it is down, or that it has promised; or its lease is over and nobody renewed it. */
function isOver(context: Context, writer: Predecessor): boolean {
  const report = context.report(writer.member);
  // Even one that has no data left promises, and is sure not to write.
  if (report?.promised?.term === context.record.term) return true;
  if (report !== null && report.goalTerm === context.record.term && report.incarnation > 0) return report.pid === null;
  if (context.record.voters.length > 0 && context.spec.withoutMajority === 'run') return true;
  const over = leaseOverMs(context.spec);
  return context.silence(writer.member) >= over && context.input.leaderFor >= over;
}

/** Phase `promise`: enough have promised and no earlier writer goes on, so the best of them is known. */
export function elect(context: Context): boolean {
  const { promotion } = context.record;
  if (promotion?.phase !== 'promise') return false;
  const rest = promotion.attempts === 0 ? 0 : Math.min(ATTEMPT_LIMIT_MS, ATTEMPT_MS * 2 ** promotion.attempts);
  if (context.heldFor(`rest:${context.record.term}`, true) < rest) return false;
  const promised = promisers(context);
  const set = electors(context, promotion, promised);
  if (set === null || !promotion.predecessors.every((writer) => isOver(context, writer))) return false;
  const best = set.toSorted((a, b) => comparePositions(b.position, a.position))[0];
  // What the other site handed over is waited for, however long.
  const end = context.input.site?.end ?? null;
  if (best === undefined || (end !== null && comparePositions(best.position, end) < 0)) return false;
  // Who is down serves nobody: it becomes the primary itself, though the manifest may have left it out, or is waited for.
  const serves = context.report(best.member.name)?.ready === true;
  const candidate = serves || best.member.role !== 'replica' ? choose(context, promotion, set) : best;
  if (candidate === undefined) return false;
  const behind = comparePositions(candidate.position, best.position) < 0;
  if (behind && !serves) return false;
  proveByPromise(context, promised, best.position);
  context.change({
    promotion: {
      ...promotion, phase: 'promote', candidate: candidate.member.name,
      catchUp: behind ? { upstream: endpoint(best.member), timeline: best.position.timeline, lsn: best.position.lsn } : null,
    },
  });
  const how = behind ? `, which fetches the WAL up to ${best.position.lsn} from ${best.member.name} first` : '';
  context.tell({ level: 'info', kind: 'elected', member: candidate.member.name, message: `${promised.map(({ member }) => member.name).join(', ')} promised term ${context.record.term}: the primary will be ${candidate.member.name}${how}` });
  return true;
}

/**
 * Those whose positions decide, or null while they are too few. Members that never accepted writes come first: they
 * run. Who may have accepted writes counts only where the others are not enough: it is down, and starts slowly.
 */
function electors(context: Context, promotion: Promotion, promised: Promiser[]): Promiser[] | null {
  const { voters, voterChange } = context.record;
  const writers = promotion.predecessors.map(({ member }) => member);
  const others = promised.filter(({ member }) => !writers.includes(member.name));
  const sets = [voters, voterChange?.to ?? []].filter((set) => set.length > 0);
  const enough = (set: Promiser[]): boolean => {
    const names = set.map(({ member }) => member.name);
    const agreed = sets.length === 0 ? everyoneAnswered(context, names, writers) : sets.every((one) => mayElect(one, writers, names));
    // Where only those are left whom the manifest no longer names, one of them still has to hold the data.
    return agreed && set.some(({ member }) => (set === promised ? member.role === 'replica' : isCandidate(context, member)));
  };
  if (enough(others)) return others;
  // Somebody who runs may be about to promise: for a moment that is better than a start after a crash.
  const awaited = Object.keys(context.record.members).some((name) => !writers.includes(name) && !promised.some(({ member }) => member.name === name) && context.report(name) !== null);
  return enough(promised) && (!awaited || context.heldFor(`writers:${context.record.term}`, true) >= WRITERS_WAIT_MS) ? promised : null;
}

/** With `commit: async`: every replica whose agent answers has promised, or was waited for. */
function everyoneAnswered(context: Context, promised: string[], writers: string[]): boolean {
  const awaited = Object.values(context.record.members).filter((member) => member.role === 'replica' && member.joined && member.goal.kind !== 'remove' && !writers.includes(member.name) && context.report(member.name) !== null);
  return context.heldFor(`promises:${context.record.term}`, true) >= ASYNC_WAIT_MS || awaited.every((member) => promised.includes(member.name));
}

/** May be promoted: holds data and stays in the group, under the old voters and the new. */
function isCandidate(context: Context, member: MemberRecord): boolean {
  const { voterChange, voters } = context.record;
  const stays = voters.length === 0 || (voterChange?.to ?? voters).includes(member.name);
  return member.role === 'replica' && context.spec.members[member.name] !== undefined && stays;
}

/**
 * Whoever was wished for, else the one with the most, of equals the first by name; who failed before comes last, the latest last of
 * all. One that was left by a timeline can't fetch what the best has: where those that stay are all so, or have failed, the replica
 * that has the most is the primary itself, though the manifest may have left it out.
 */
function choose(context: Context, promotion: Promotion, set: Promiser[]): Promiser | undefined {
  const failed = promotion.predecessors.slice(-promotion.attempts || Infinity).map(({ member }) => member);
  const failedAt = ({ member }: Promiser): number => failed.indexOf(member.name);
  const replicas = set.filter(({ member }) => member.role === 'replica').toSorted((a, b) => comparePositions(b.position, a.position));
  const named = set.filter(({ member, position }) => isCandidate(context, member) && leftBy(context.record.timelines, position) === undefined);
  const able = (named.length > 0 ? named : replicas).toSorted((a, b) =>
    failedAt(a) - failedAt(b) || comparePositions(b.position, a.position) || a.member.name.localeCompare(b.member.name));
  const wished = able.find(({ member }) => promotion.planned && member.name === promotion.candidate) ?? able[0];
  const [fullest] = replicas;
  const hopeless = fullest !== undefined && (wished === undefined || failedAt(fullest) < failedAt(wished));
  const found = hopeless ? fullest : wished;
  if (found === undefined || context.record.voters.length > 0 || promotion.operation !== null) return found;
  // What an asynchronous replica lacks is lost: no more than the manifest allows.
  const writer = promotion.predecessors[0];
  const last = writer === undefined ? null : (context.input.seen[writer.member]?.report ?? null);
  const lacks = last === null ? 0 : lsnNumber(positionOf(last).lsn) - lsnNumber(found.position.lsn);
  return lacks > context.spec.electableLagBytes ? undefined : found;
}
