/** What a person asks of a group: refused with the reason, or written into the record as an operation. Pure. */
import { PgorbitError } from '../../errors.ts';
import { candidates, Context, isElectable, streams, type DecisionInput } from './context.ts';
import { finish, RESULTS_KEPT } from './finish.ts';
import type { GroupRecord, OperateRequest, Operation } from '../model.ts';

/** @returns the record that carries the request. @throws PgorbitError with why it can't be, and what can. */
export function acceptRequest(input: DecisionInput, record: GroupRecord, request: OperateRequest, id: string): { record: GroupRecord; events: Context['events'] } {
  const context = new Context(input, record);
  refuseForSite(context, request);
  const running = record.operation;
  const anyway = request.kind === 'promote' && request.acceptLoss === true;
  if (running !== null && ((running.kind === 'reclone' && !running.cut) || (anyway && record.promotion !== null))) finish(context, false, `gave way to a ${request.kind}`);
  else if (running !== null) {
    throw new PgorbitError('state-conflict', `group ${record.group} is busy with a ${running.kind}`, { hint: 'wait for it (`pgorbit events -f` shows it) and try again' });
  }
  if (request.kind === 'reload') reload(context, request.members, id);
  else context.change({ operation: operationFor(context, request, id) });
  return { record: context.record, events: context.events };
}

function refuseForSite({ input, record }: Context, request: OperateRequest): void {
  const { site } = input;
  if (site === null || request.kind === 'reload') return;
  if (site.handOver !== null) throw new PgorbitError('state-conflict', 'this site is handing over to the other one', { hint: 'wait for it: `pgorbit status` shows how far it is' });
  const standby = site.role === 'standby' || record.standbySite === true;
  if (!standby || (request.kind !== 'switchover' && request.kind !== 'promote')) return;
  throw new PgorbitError('unsafe', `this cluster is the standby site: nobody in group ${record.group} accepts writes`, { hint: '`pgorbit site switchover` makes it the primary site; `pgorbit site promote` does after the other one was lost' });
}

/** Not an operation: agents do it at once, side by side. */
function reload(context: Context, members: string[] | null, id: string): void {
  for (const name of rolling(context, members)) context.changeMember(name, { reloads: context.member(name).reloads + 1 });
  context.change({ results: [{ id, kind: 'reload' as const, ok: true, message: 'the members read their configuration again' }, ...context.record.results].slice(0, RESULTS_KEPT) });
}

function operationFor(context: Context, request: Exclude<OperateRequest, { kind: 'reload' }>, id: string): Operation {
  const { record } = context;
  switch (request.kind) {
    case 'switchover':
      return { id, kind: 'switchover', from: presentPrimary(context), to: switchoverTarget(context, request.to), step: 'checkpoint' };
    case 'promote': {
      known(context, [request.member]);
      if (request.acceptLoss && !context.report(record.primary ?? '')?.ready) return promotionAnyway(context, request, id);
      if (record.promotion !== null) {
        throw new PgorbitError('state-conflict', `${record.promotion.candidate} is being promoted just now`, { hint: `wait for it, then: pgorbit switchover --to ${request.member}` });
      }
      if (request.member !== record.primary && !isElectable(context, request.member)) {
        throw new PgorbitError('unsafe', `${request.member} is not a running replica of group ${record.group}: it can't be promoted`, { hint: `members that can: ${candidates(context).join(', ') || 'none'}` });
      }
      const primary = record.primary === null ? null : context.report(record.primary);
      if (primary?.ready && request.member !== record.primary) {
        // The primary lives: a clean switchover does the same without cutting anything short.
        return { id, kind: 'switchover', from: presentPrimary(context), to: request.member, step: 'checkpoint' };
      }
      if (!request.force) {
        throw new PgorbitError('unsafe', `promoting ${request.member} fences ${record.primary ?? 'the old primary'} for good: it comes back as a replica by a new clone`, { hint: `pgorbit promote ${request.member} --force` });
      }
      return { id, kind: 'promote', to: request.member, acceptLoss: false };
    }
    case 'restart': {
      const left = rolling(context, request.members);
      return { id, kind: 'restart', left: request.primaryFirst === true ? left.toReversed() : left, current: null };
    }
    case 'reclone': {
      const members = rolling(context, request.members).filter((name) => name !== record.primary && (request.members !== null || record.members[name]?.role !== 'standby'));
      return { id, kind: 'reclone', left: members, current: null, step: 'drain', drainMs: request.drainMs, cut: true };
    }
  }
}

/** Nobody accepts writes, and a person wants somebody to, whatever can't be read any more. Its data have to be whole, and its agent there. */
function promotionAnyway(context: Context, { member: name, force }: Extract<OperateRequest, { kind: 'promote' }>, id: string): Operation {
  const { record, spec } = context;
  if (spec.storage === 'local') {
    throw new PgorbitError('unsafe', `group ${record.group} has local storage: there is no volume on which something could not be read, and a promotion asks the voters what they have`, { hint: `pgorbit promote ${name} --force` });
  }
  const member = record.members[name];
  if (member?.role !== 'replica' || !member.joined || spec.members[name] === undefined || context.report(name) === null) {
    throw new PgorbitError('unsafe', `${name} can't be promoted: it is no replica with whole data whose agent answers`, { hint: 'name another one; `pgorbit status` shows them' });
  }
  if (!force) throw new PgorbitError('unsafe', `promoting ${name} without what can't be read of the old primary's WAL loses what only that has`, { hint: `pgorbit promote ${name} --force --accept-loss` });
  return { id, kind: 'promote', to: name, acceptLoss: true };
}

function presentPrimary(context: Context): string {
  const { primary } = context.record;
  if (primary === null || !context.report(primary)?.ready) {
    throw new PgorbitError('unsafe', `group ${context.record.group} has no running primary to switch over from`, { hint: `pgorbit promote ${candidates(context)[0] ?? 'MEMBER'} --force` });
  }
  return primary;
}

function switchoverTarget(context: Context, wanted: string | null): string {
  if (wanted === null) {
    const best = candidates(context).find((name) => streams(context, name));
    if (best === undefined) throw new PgorbitError('unsafe', `group ${context.record.group} has no replica that streams: nobody can take over`, { hint: 'pgorbit status' });
    return best;
  }
  known(context, [wanted]);
  if (wanted === context.record.primary) throw new PgorbitError('usage', `${wanted} is the primary already`);
  if (!isElectable(context, wanted) || !streams(context, wanted)) {
    throw new PgorbitError('unsafe', `${wanted} does not stream from the primary: it can't take over`, { hint: 'pgorbit status' });
  }
  return wanted;
}

/** Replicas first, the primary last. */
function rolling(context: Context, members: string[] | null): string[] {
  const { record } = context;
  if (members !== null) known(context, members);
  // A logger has none of PostgreSQL's settings, and nothing to restart for.
  const all = Object.keys(record.members).filter((name) => record.members[name]?.role !== 'logger').sort();
  return (members ?? all).toSorted((a, b) => Number(a === record.primary) - Number(b === record.primary));
}

function known(context: Context, members: string[]): void {
  for (const name of members) {
    if (context.record.members[name] === undefined) {
      throw new PgorbitError('no-such-member', `group ${context.record.group} has no member ${name}`, { hint: `its members: ${Object.keys(context.record.members).sort().join(', ')}` });
    }
  }
}
