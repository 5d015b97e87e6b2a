/** What a person asked for, carried forward one step at a time. A failover ends any of these; they never delay one. */
import { isElectable, streams, type Context } from './context.ts';
import { finish } from './finish.ts';
import { promoteAnyway, startPromotion } from './promotion.ts';
import { remake } from './proof.ts';
import type { Rule } from './rules.ts';
import type { MemberReport, Operation, WalPosition } from '../model.ts';

/** A step of a switchover or a restart that takes longer fails the operation. */
const STEP_MS = 60_000;

export const operationRules: Rule[] = [
  // Switchover: checkpoint both so that the stop is short, stop the old primary cleanly, promote the other.
  { name: 'switchover', apply: (context) => forward(context, 'switchover', switchover) },
  // Promotion by hand.
  { name: 'promote', apply: (context) => forward(context, 'promote', promote) },
  // Likewise, though it can't have all that was acknowledged; it takes the place of one that waits for that.
  { name: 'promote-anyway', apply: promoteInstead },
  // The preferred primary keeps up again: the role goes back to it.
  { name: 'prefer', apply: prefer },
  // Rolling restart: replicas one by one, the primary last.
  { name: 'restart', apply: (context) => forward(context, 'restart', restart) },
  // Rolling clone: a replica at a time leaves when unused, and comes back as a fresh clone.
  { name: 'reclone', apply: (context) => forward(context, 'reclone', reclone) },
];

type Of<K extends Operation['kind']> = Extract<Operation, { kind: K }>;

function forward<K extends Operation['kind']>(context: Context, kind: K, step: (context: Context, operation: Of<K>) => boolean): boolean {
  const operation = context.record.operation;
  if (operation?.kind !== kind || context.record.promotion !== null) return false;
  return step(context, operation as Of<K>);
}

/** After a failover has settled: not while the member that came back may still be busy with what it missed. */
const PREFER_AFTER_MS = 30_000;

function prefer(context: Context): boolean {
  const { record, spec } = context;
  const wish = spec.preferredPrimary;
  if (wish === null || record.primary === null || record.primary === wish || record.promotion !== null || record.operation !== null) return false;
  const ready = isElectable(context, wish) && streams(context, wish) && (record.voters.length === 0 || record.voters.includes(wish)) && record.voterChange === null;
  if (context.heldFor(`prefer:${wish}:${record.term}`, ready) < PREFER_AFTER_MS) return false;
  const id = `prefer-${wish}-${record.term}`;
  context.change({ operation: { id, kind: 'switchover', from: record.primary, to: wish, step: 'checkpoint' } });
  context.tell({ level: 'info', kind: 'switchover', member: wish, operation: id, message: `${wish} is the preferred primary and keeps up: the role goes back to it` });
  return true;
}

function switchover(context: Context, operation: Of<'switchover'>): boolean {
  const { record } = context;
  const from = context.report(operation.from);
  const to = context.report(operation.to);
  if (record.primary !== operation.from) {
    finish(context, false, `${operation.from} is no longer the primary: nothing to switch over from`);
    return true;
  }
  if (operation.step === 'checkpoint') {
    if (!isElectable(context, operation.to) || !streams(context, operation.to)) {
      finish(context, false, `${operation.to} does not stream from ${operation.from}: it can't take over`);
      return true;
    }
    const both = from?.reached === 'checkpoint' && to?.reached === 'checkpoint';
    const waited = context.heldFor(`${operation.id}:checkpoint`, true);
    if (waited > STEP_MS) {
      finish(context, false, `the checkpoints before the switchover took more than ${STEP_MS / 1000} s: ${operation.from} stays the primary`);
      return true;
    }
    if (!both) return false;
    context.change({ operation: { ...operation, step: 'stop' } });
    return true;
  }
  if (operation.step === 'stop') {
    if (from === null || from.pid !== null || from.reached !== 'stop') {
      if (context.heldFor(`${operation.id}:stop`, true) <= STEP_MS) return false;
      context.changeMember(operation.from, { restarts: context.member(operation.from).restarts + 1 });
      finish(context, false, `${operation.from} did not stop within ${STEP_MS / 1000} s: it stays the primary`);
      return true;
    }
    if (!isElectable(context, operation.to)) {
      context.changeMember(operation.from, { restarts: context.member(operation.from).restarts + 1 });
      finish(context, false, `${operation.to} went away while ${operation.from} stopped: ${operation.from} is started again`);
      return true;
    }
    startPromotion(context, operation.to, { planned: from.cleanStop === true, operation: operation.id, atLeast: endOf(context, operation.to, from) });
    context.change({ operation: { ...operation, step: 'promote' } });
    return true;
  }
  return false;
}

/** Where the WAL of the stopped primary ends, if that is all that has to be known: local storage, and `to` may be elected. */
function endOf({ record, spec }: Context, to: string, from: MemberReport): WalPosition | null {
  const votes = record.voters.length === 0 || (record.voters.includes(to) && record.voterChange === null);
  return spec.storage === 'local' && votes && from.goalTerm === record.term ? from.stoppedAt : null;
}

function promote(context: Context, operation: Of<'promote'>): boolean {
  if (context.record.primary === operation.to) {
    finish(context, true, `${operation.to} is the primary`);
    return true;
  }
  if (operation.acceptLoss) return false;
  if (!isElectable(context, operation.to)) {
    finish(context, false, `${operation.to} is no longer a running replica: it can't be promoted`);
    return true;
  }
  startPromotion(context, operation.to, { planned: false, operation: operation.id });
  context.tell({ level: 'warning', kind: 'promote', member: operation.to, message: `${operation.to} is promoted by hand in term ${context.record.term}` });
  return true;
}

function promoteInstead(context: Context): boolean {
  const { operation, promotion } = context.record;
  if (operation?.kind !== 'promote' || !operation.acceptLoss || promotion?.operation === operation.id) return false;
  promoteAnyway(context, operation.to, operation.id);
  context.tell({ level: 'warning', kind: 'promote', member: operation.to, message: `${operation.to} is promoted by hand in term ${context.record.term}: what can't be read of the old primary's WAL is given up` });
  return true;
}

function restart(context: Context, operation: Of<'restart'>): boolean {
  if (operation.current === null) {
    const [next, ...left] = operation.left;
    if (next === undefined) {
      finish(context, true, 'every member runs with its present settings');
      return true;
    }
    context.change({ operation: { ...operation, left, current: next } });
    if (context.record.members[next] === undefined) return true;
    context.changeMember(next, { restarts: context.member(next).restarts + 1 });
    context.tell({ level: 'info', kind: 'restart', member: next, message: `${next} restarts` });
    return true;
  }
  const member = context.record.members[operation.current];
  const report = context.report(operation.current);
  const waited = context.heldFor(`${operation.id}:${operation.current}`, true);
  const primary = operation.current === context.record.primary;
  const back = member === undefined || (report !== null && report.restarts >= member.restarts && report.ready && (primary || streams(context, operation.current)));
  if (back) {
    context.change({ operation: { ...operation, current: null } });
    return true;
  }
  if (waited > STEP_MS) {
    finish(context, false, `${operation.current} did not come back within ${STEP_MS / 1000} s${report?.error ? `: ${report.error.message}` : ''}; the others were left alone`);
    return true;
  }
  return false;
}

function reclone(context: Context, operation: Of<'reclone'>): boolean {
  const { current } = operation;
  if (current === null) {
    const [next, ...left] = operation.left;
    if (next === undefined) {
      finish(context, true, 'the members have fresh data');
      return true;
    }
    // A standby is there to be copied anew by a person's wish, in whatever state it is.
    const usable = next !== context.record.primary && (isElectable(context, next) || context.record.members[next]?.role === 'standby');
    context.change({ operation: { ...operation, left, current: usable ? next : null, step: 'drain' } });
    return true;
  }
  const member = context.record.members[current];
  if (member === undefined || current === context.record.primary) {
    context.change({ operation: { ...operation, current: null } });
    return true;
  }
  const report = context.report(current);
  const waited = context.heldFor(`${operation.id}:${current}:${operation.step}`, true);
  if (operation.step === 'drain') {
    if (report !== null && report.pid === null) {
      remake(context, current);
      context.change({ operation: { ...operation, step: 'attach' } });
      return true;
    }
    if (waited <= operation.drainMs) return false;
    if (operation.cut) {
      remake(context, current);
      context.change({ operation: { ...operation, step: 'attach' } });
      context.tell({ level: 'warning', kind: 'drain-cut', member: current, message: `${current} still had ${report?.sessions ?? 'some'} sessions after ${Math.round(operation.drainMs / 1000)} s: they are disconnected` });
    } else {
      finish(context, false, `${current} was in use for ${Math.round(operation.drainMs / 1000)} s without a pause: its clone is put off`);
    }
    return true;
  }
  if (member.joined && report?.incarnation === member.incarnation) {
    context.change({ operation: { ...operation, current: null } });
    return true;
  }
  // A copy takes as long as there are data.
  if (waited <= STEP_MS || report?.state === 'attaching') return false;
  finish(context, false, `${current} did not come back within ${STEP_MS / 1000} s${report?.error ? `: ${report.error.message}` : ''}`);
  return true;
}
