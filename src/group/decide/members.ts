/** How members come, change, are made anew and go. */
import { isElectable, positionOf, streams, type Context } from './context.ts';
import { remake } from './proof.ts';
import { leftBy } from './timelines.ts';
import type { ErrorCode } from '../../errors.ts';
import type { MemberRecord } from '../model.ts';

/** A joined replica that runs but does not stream for this long is made anew; each further try waits twice as long. */
export const REJOIN_MS = 10_000;
/** How often in a row a replica may fail its goal before it is made anew. */
export const FAILURES_BEFORE_REBUILD = 3;

/** A line between two sites is slower to come back than one between neighbours. */
const LEADS_FACTOR = 3;

/** What keeps a member from starting or from following and is no fault of its data: others would not do so either. */
const NOT_THE_DATA: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'port-in-use', 'permission', 'shared-memory', 'engine-missing', 'engine-failed', 'volume-full', 'locked', 'setting-refused', 'agent-failed',
  'host-unreachable',
]);

/** The record of a member that is to be made. */
export function newMember(context: Context, name: string): MemberRecord {
  const wanted = context.spec.members[name];
  if (wanted === undefined) throw new Error(`no member ${name} in the spec of ${context.spec.name}`);
  return {
    name,
    host: wanted.host,
    address: context.input.addresses[wanted.host] ?? '127.0.0.1',
    port: wanted.port ?? 5432,
    role: wanted.role === 'primary' ? 'replica' : wanted.role,
    // Data that a person brought along for a standby are its first: they are put right, not followed with as they are.
    incarnation: wanted.role === 'standby' ? 2 : 1,
    restarts: 1,
    reloads: 0,
    goal: { kind: 'stop' },
    joined: false,
    provenIn: context.record.term,
    rebuilds: 0,
    renewal: wanted.role === 'standby' ? 'rewind' : 'fresh',
  };
}

export function created(context: Context): boolean {
  if (context.record.systemIdentifier !== null) return false;
  for (const member of Object.values(context.record.members)) {
    const report = context.report(member.name);
    if (report?.ready && report.inRecovery === false && report.systemIdentifier !== null && report.reached === 'create') {
      context.change({ systemIdentifier: report.systemIdentifier, primary: member.name, term: 1 });
      context.changeMember(member.name, { joined: true, provenIn: 1 });
      context.tell({ level: 'info', kind: 'group-created', member: member.name, message: `${member.name} made the database system ${report.systemIdentifier} and is its primary` });
      return true;
    }
  }
  return false;
}

export function admit(context: Context): boolean {
  const { record, spec } = context;
  if (record.primary === null || record.promotion !== null || !context.report(record.primary)?.ready) return false;
  // Reports of an earlier member of the same name have to grow old first: "removed" would be taken for the new one's.
  const missing = Object.keys(spec.members).filter((name) => record.members[name] === undefined && context.report(name) === null);
  for (const name of missing) {
    const member = newMember(context, name);
    context.change({ members: { ...context.record.members, [name]: member } });
    context.tell({ level: 'info', kind: 'member-added', member: name, message: `${name} joins as ${member.role} on ${member.host}, port ${member.port}` });
  }
  return missing.length > 0;
}

export function amend(context: Context): boolean {
  let changed = false;
  for (const member of Object.values(context.record.members)) {
    const wanted = context.spec.members[member.name];
    if (wanted === undefined) continue;
    const port = wanted.port ?? member.port;
    const address = context.input.addresses[member.host] ?? member.address;
    if (port !== member.port || address !== member.address) {
      context.changeMember(member.name, { port, address, restarts: member.restarts + 1 });
      context.tell({ level: 'info', kind: 'member-moved', member: member.name, message: `${member.name} moves to ${address}:${port} and restarts` });
      changed = true;
    }
  }
  return changed;
}

export function forget(context: Context): boolean {
  const gone = Object.values(context.record.members).filter(
    (member) => member.goal.kind === 'remove' && context.report(member.name)?.state === 'removed',
  );
  if (gone.length === 0) return false;
  const members = { ...context.record.members };
  for (const member of gone) {
    delete members[member.name];
    context.tell({ level: 'info', kind: 'member-removed', member: member.name, message: `${member.name} is gone, and its slot and files with it` });
  }
  context.change({ members });
  return true;
}

export function joined(context: Context): boolean {
  let changed = false;
  for (const member of Object.values(context.record.members)) {
    const report = context.report(member.name);
    if (member.joined || report === null || report.incarnation !== member.incarnation || !report.ready || !streams(context, member.name)) continue;
    context.changeMember(member.name, { joined: true, rebuilds: 0 });
    context.tell({ level: 'info', kind: 'member-joined', member: member.name, message: `${member.name} streams from ${report.streamingFrom}` });
    changed = true;
  }
  return changed;
}

/**
 * A standby that received WAL of an older timeline beyond where a later one parted from it. PostgreSQL refuses to
 * follow with that, for ever; a logger cuts it off by itself.
 */
export function diverged(context: Context): boolean {
  const { record } = context;
  if (record.primary === null || record.promotion !== null) return false;
  let changed = false;
  for (const member of Object.values(record.members)) {
    const report = context.report(member.name);
    if (member.goal.kind !== 'follow' || member.role === 'logger' || report === null || report.incarnation !== member.incarnation || report.goalTerm !== record.term) continue;
    const position = positionOf(report);
    const next = leftBy(record.timelines, position);
    if (position.timeline === 0 || next === undefined || report.streamingFrom !== null) continue;
    remake(context, member.name, { rebuilds: member.rebuilds + 1, renewal: 'rewind' });
    context.tell({ level: 'warning', kind: 'member-diverged', member: member.name, message: `${member.name} has WAL up to ${position.lsn} of timeline ${position.timeline}, which timeline ${next.timeline} left at ${next.begin}: it is rewound` });
    changed = true;
  }
  return changed;
}

export function rebuild(context: Context): boolean {
  const { record, spec } = context;
  if (record.primary === null || record.promotion !== null || !context.report(record.primary)?.ready) return false;
  let changed = false;
  for (const member of Object.values(record.members)) {
    const report = context.report(member.name);
    if (member.goal.kind !== 'follow' || report === null || report.incarnation !== member.incarnation) continue;
    // What follows the other site is whole for as long as nobody there contradicts it: it may be all that is left.
    const leads = member.goal.upstream.site !== undefined;
    if (leads && context.input.site?.upstream?.writable !== true) continue;
    const mendable = report.error === null || !NOT_THE_DATA.has(report.error.code);
    const patience = (leads ? LEADS_FACTOR : 1) * REJOIN_MS * 2 ** Math.min(member.rebuilds, 5);
    const silent = context.heldFor(`silent:${member.name}:${member.incarnation}`, mendable && report.ready && !streams(context, member.name)) > patience;
    const broken = report.pid === null && mendable && report.failures >= FAILURES_BEFORE_REBUILD
      && context.heldFor(`broken:${member.name}:${member.incarnation}`, true) >= patience - REJOIN_MS;
    if (!silent && !broken) continue;
    const why = broken ? (report.error?.message ?? 'it does not start') : `it runs but has not streamed for ${Math.round(patience / 1000)} s`;
    const ownStorage = spec.storage === 'local' || member.role === 'standby' || leads;
    const renewal = ownStorage && member.rebuilds === 0 ? 'rewind' : 'fresh';
    remake(context, member.name, { rebuilds: member.rebuilds + 1, renewal });
    context.tell({ level: 'warning', kind: 'member-rebuild', member: member.name, message: `${member.name} can't follow (${why}): it is made anew` });
    changed = true;
  }
  return changed;
}

export function recloneNeeded(context: Context): boolean {
  const { record, spec } = context;
  if (record.operation !== null || record.promotion !== null || record.primary === null || spec.recloneAbove === 0) return false;
  for (const member of Object.values(record.members)) {
    if (member.name === record.primary || !isElectable(context, member.name)) continue;
    const share = context.input.exclusiveShare[member.name] ?? 0;
    const due = context.heldFor(`share:${member.name}:${member.incarnation}`, share > spec.recloneAbove) > 60_000;
    if (!due) continue;
    const id = `reclone-${member.name}-${member.incarnation + 1}`;
    context.change({ operation: { id, kind: 'reclone', left: [], current: member.name, step: 'drain', drainMs: 600_000, cut: false } });
    context.tell({ level: 'info', kind: 'reclone', member: member.name, operation: id, message: `${member.name} occupies ${Math.round(share * 100)} % of the data by itself: it is cloned again as soon as no client uses it` });
    return true;
  }
  return false;
}
