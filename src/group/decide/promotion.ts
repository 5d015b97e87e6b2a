/** Losing a primary and gaining another: restart, failover, and what a promotion may come to. */
import { candidates, leaseOverMs, type Context } from './context.ts';
import { finish } from './finish.ts';
import { proveAsBefore, remake } from './proof.ts';
import { nextTimeline, withTimelines } from './timelines.ts';
import type { Promotion, WalPosition } from '../model.ts';

/** A promotion that takes longer than this goes to the next candidate. */
export const PROMOTION_MS = 15_000;
/** What a candidate may do for as long as it gets on: it says itself when it does not. */
const LONG_STEPS: ReadonlySet<string> = new Set(['replaying', 'catching up']);
/** The pause before the next candidate, doubled with each that failed, and its limit. */
const ATTEMPT_MS = 250;
const ATTEMPT_LIMIT_MS = 10_000;
/** How often in a row a candidate may fail. */
const FAILURES_BEFORE_NEXT = 2;
/** A standby asks its upstream for a sign of life after half of wal_receiver_timeout without one. */
export const HEARD_MS = 2_000;
/** How long a dead primary's agent may take to read its pg_control. */
const LOOK_MS = 1_000;

/**
 * The primary's agent is silent. That alone says nothing of its postgres, which an agent's death does not touch; but
 * when no replica hears from it either, it is taken for lost.
 */
export function primarySilent(context: Context): boolean {
  const { record, spec } = context;
  if (record.primary === null || record.promotion !== null || spec.failover !== 'automatic') return false;
  const primary = context.member(record.primary);
  // A leader that is new has waited for the old one's silence already; what that one granted is over soon.
  const patience = context.input.seen[primary.name] === undefined ? leaseOverMs(spec) : spec.electionTimeoutMs;
  if (context.silence(primary.name) < patience + spec.electionDelayMs) return false;
  const replicas = Object.keys(record.members).map((name) => context.report(name)).filter((report) => report !== null);
  const heard = replicas.some((report) => report.streamingFrom === `${primary.address}:${primary.port}` && (report.heardMs ?? 0) < HEARD_MS);
  const next = candidates(context)[0];
  if (heard || next === undefined) return false;
  const interrupted = record.operation;
  startPromotion(context, next, { planned: false, operation: null });
  context.tell({ level: 'warning', kind: 'primary-lost', member: primary.name, message: `neither the agent of ${primary.host} nor the primary ${primary.name} answers: ${next} takes over in term ${context.record.term}` });
  if (interrupted !== null) finish(context, false, `interrupted: the primary ${primary.name} was lost`);
  return true;
}

/**
 * Opens a new term in which `candidate` takes over from the present primary. On local storage the voters are asked first,
 * unless it is known where the WAL of that primary ends, which was stopped cleanly.
 */
export function startPromotion(context: Context, candidate: string, how: { planned: boolean; operation: string | null; atLeast?: WalPosition | null }): void {
  const { record } = context;
  const old = record.primary === null ? null : context.member(record.primary);
  const local = context.spec.storage === 'local';
  const { atLeast = null } = how;
  context.change({
    term: record.term + 1,
    primary: null,
    promotion: {
      phase: local && atLeast === null ? 'promise' : 'promote', candidate, timeline: local || context.input.site !== null ? nextTimeline(context) : null, catchUp: null,
      predecessors: old === null ? [] : [{ member: old.name, host: old.host }], primary: old?.name ?? null, acceptLoss: false, attempts: 0, ...how, atLeast,
    },
  });
  // On a shared volume, and after a clean stop, the candidate accepts writes with all that the old primary had.
  if (old !== null && (!local || atLeast !== null)) proveAsBefore(context, record.term);
}

/**
 * Shared storage, and a person gives up what can't be read of the predecessors' WAL. What anybody else on the volume has is
 * taken over all the same: all of them count as predecessors, so they are fenced, replayed, and cloned anew. Takes the place
 * of a promotion that is tried in vain.
 */
export function promoteAnyway(context: Context, candidate: string, operation: string): void {
  const { record } = context;
  const writers = record.promotion === null ? [record.primary ?? candidate] : [...record.promotion.predecessors.map(({ member }) => member), record.promotion.candidate];
  const replicas = Object.values(record.members).filter(({ role }) => role === 'replica').map(({ name }) => name);
  const names = [...new Set([...writers, ...replicas])].filter((name) => name !== candidate && record.members[name] !== undefined);
  context.change({
    term: record.term + 1,
    primary: null,
    promotion: {
      phase: 'promote', candidate, timeline: context.input.site === null ? null : nextTimeline(context), catchUp: null, atLeast: null,
      predecessors: names.map((name) => ({ member: name, host: context.member(name).host })),
      primary: (record.promotion ?? record).primary, acceptLoss: true, planned: false, attempts: 0, operation,
    },
  });
}

export function primaryDown(context: Context): boolean {
  const { record, spec } = context;
  if (record.primary === null || record.promotion !== null) return false;
  const primary = context.member(record.primary);
  const report = context.report(primary.name);
  const asked = primary.goal.kind === 'stop';
  // There is nothing left that could be started.
  const gone = report?.empty === true;
  if (report === null || report.pid !== null || asked || (report.incarnation !== primary.incarnation && !gone) || report.goalTerm !== record.term) return false;
  // How it went down is read a moment after it is seen to be down: a clean stop is no reason for a failover.
  if (report.cleanStop === null && context.heldFor(`down:${primary.name}:${primary.restarts}`, true) < LOOK_MS) return false;
  // A restart that was asked for is under way until the report shows that it was tried.
  if (report.restarts < primary.restarts && report.failures === 0 && !gone) return false;
  const next = candidates(context)[0];
  // Where the manifest asks for patience, it is started in place for as long.
  const patient = context.heldFor(`lost:${record.term}`, true) < spec.electionDelayMs;
  const mayFailOver = next !== undefined && spec.failover === 'automatic' && report.cleanStop !== true && !patient;
  if (mayFailOver) {
    const interrupted = record.operation;
    startPromotion(context, next, { planned: false, operation: null });
    context.tell({ level: 'warning', kind: 'primary-lost', member: primary.name, message: `the primary ${primary.name} ${gone ? 'has no data any more' : 'died'}: ${next} takes over in term ${context.record.term}` });
    if (interrupted !== null) finish(context, false, `interrupted: the primary ${primary.name} died`);
    return true;
  }
  if (gone) return false;
  // Restart in place; after each failure wait longer, so that a broken primary does not spin.
  const patience = Math.min(30_000, report.failures * 2_000);
  if (context.heldFor(`restart:${primary.name}:${primary.restarts}`, true) < patience) return false;
  context.changeMember(primary.name, { restarts: primary.restarts + 1 });
  const why = report.cleanStop === true ? 'it was stopped cleanly' : spec.failover === 'manual' ? 'failover is manual' : patient ? 'election_delay gives it time' : 'no replica can take over';
  context.tell({ level: report.cleanStop === true ? 'info' : 'warning', kind: 'primary-restart', member: primary.name, message: `the primary ${primary.name} is down (${why}): it is started again` });
  return true;
}

export function promoted(context: Context): boolean {
  const { promotion, term } = context.record;
  if (promotion === null) return false;
  const report = context.report(promotion.candidate);
  if (!report?.ready || report.inRecovery !== false || report.term !== term) return false;
  const { timelines } = context.record;
  // Among them those of promotions that were given up: they had begun one all the same.
  context.change({ primary: promotion.candidate, promotion: null, timelines: withTimelines(timelines, report.history ?? []) });
  context.changeMember(promotion.candidate, { joined: true, provenIn: term, rebuilds: 0 });
  context.tell({
    level: promotion.planned ? 'info' : 'warning', kind: 'promoted', member: promotion.candidate, operation: promotion.operation,
    message: `${promotion.candidate} is the primary of term ${term}, timeline ${report.timeline}`,
  });
  // A predecessor that died keeps nothing acknowledged that the new primary lacks, but its files may be torn, or hold
  // WAL that nobody else has: it comes back rewound or as a new clone.
  for (const { member: old } of promotion.planned ? [] : promotion.predecessors) {
    if (old === promotion.candidate) continue;
    if (context.record.members[old] !== undefined) remake(context, old, { renewal: context.spec.storage === 'local' ? 'rewind' : 'fresh' });
  }
  const { operation } = context.record;
  if (promotion.operation !== null && operation !== null && 'to' in operation) {
    const asked = operation.to === promotion.candidate;
    finish(context, asked, `${asked ? '' : `${operation.to} could not be promoted: `}${promotion.candidate} is the primary now`);
  }
  return true;
}

/**
 * Nobody knows how far a candidate came that is given up: it may have begun to accept writes. So it joins those from
 * whom the next one takes over, and is fenced and replayed like them. The old primary is the last resort, and comes
 * back the same way.
 */
export function promotionFailed(context: Context): boolean {
  const { promotion } = context.record;
  if (promotion === null || promotion.phase === 'promise') return false;
  const report = context.report(promotion.candidate);
  const slow = context.heldFor(`promotion:${context.record.term}`, !LONG_STEPS.has(report?.step ?? '')) > PROMOTION_MS;
  const tried = report !== null && report.goalTerm === context.record.term;
  // The first one that fails makes way at once. Where all of them fail, on a full volume for example, haste helps nobody.
  const rest = promotion.attempts === 0 ? 0 : Math.min(ATTEMPT_LIMIT_MS, ATTEMPT_MS * 2 ** promotion.attempts);
  const rested = context.heldFor(`rest:${context.record.term}`, true) >= rest;
  const broken = rested && tried && ((report.pid === null && (report.state === 'failed' || report.empty)) || report.failures >= FAILURES_BEFORE_NEXT);
  if (!slow && !broken) return false;
  const why = broken ? (report.error?.message ?? 'it failed') : `it took more than ${PROMOTION_MS / 1000} s`;
  if (context.spec.storage === 'local') return electAgain(context, promotion, why);
  // Where the old primary's WAL can't be all that was, it is the last to be started on: that would hide what is missing.
  const spared = report?.error?.code === 'wal-invalid' ? promotion.primary : null;
  const next = candidates(context).find((name) => name !== promotion.candidate)
    ?? promotion.predecessors.find(({ member }) => context.record.members[member] !== undefined && member !== spared && context.report(member)?.empty !== true)?.member;
  if (next === undefined) return false;
  const failed = context.member(promotion.candidate);
  const predecessors = [...promotion.predecessors, { member: failed.name, host: failed.host }].filter(({ member }) => member !== next);
  context.change({ term: context.record.term + 1, promotion: { ...promotion, candidate: next, timeline: promotion.timeline === null ? null : nextTimeline(context), predecessors, acceptLoss: false, planned: false, attempts: promotion.attempts + 1 } });
  proveAsBefore(context, context.record.term - 1);
  context.tell({ level: 'error', kind: 'promotion-failed', member: failed.name, message: `promoting ${failed.name} failed (${why}); ${next} is tried next` });
  return true;
}

/** The voters promise once more, in a higher term: whoever it was may have accepted writes, and is asked like the others. */
function electAgain(context: Context, promotion: Promotion, why: string): boolean {
  const failed = context.member(promotion.candidate);
  const predecessors = [...promotion.predecessors.filter(({ member }) => member !== failed.name), { member: failed.name, host: failed.host }];
  context.change({
    term: context.record.term + 1,
    promotion: { ...promotion, phase: 'promise', timeline: nextTimeline(context), catchUp: null, atLeast: null, predecessors, planned: false, attempts: promotion.attempts + 1 },
  });
  context.tell({ level: 'error', kind: 'promotion-failed', member: failed.name, message: `promoting ${failed.name} failed (${why}): the voters are asked again` });
  return true;
}
