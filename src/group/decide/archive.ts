/** Which host archives a group's WAL, and from whom it takes that. Pure. */
import type { ErrorCode } from '../../errors.ts';
import type { ArchiveRecord, ArchiveReport, ArchiveSettings, Endpoint, MemberRecord } from '../model.ts';
import { FRESH_MS, isIn, lsnNumber, streams, type Context } from './context.ts';
import { endpoint } from './goals.ts';

/** Nothing was heard of the host's agent for so long: another host archives. An agent that restarts is back by then. */
export const HOST_LOST_MS = 10_000;
/** The repository could not be used from the host for so long: another one tries; each further one waits twice as long. */
export const UNUSABLE_MS = 10_000;
/** So long those are waited for who have yet to join. */
const FIRST_MS = 10_000;
/** How long a source may be unwell before another is taken. */
const LOST_MS = 5_000;
/** How long one that came back must have been well before it is taken again. */
const BACK_MS = 10_000;

/** What keeps one host from writing to a repository, and perhaps not another: a disk that is not mounted there, rights. So does a process that does not start. */
const HERE_ALONE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['no-such-backup', 'not-ours', 'permission']);

export function archive(context: Context): boolean {
  const before = context.record.archive ?? null;
  // A manifest of before the key has none.
  const wanted = context.spec.archive ?? null;
  const after = wanted === null ? off(before) : assigned(context, wanted, before);
  if (after === null || JSON.stringify(after) === JSON.stringify(before)) return false;
  context.change({ archive: after });
  if (after.host !== before?.host || after.epoch !== before.epoch) tell(context, before, after);
  return true;
}

/** The number is kept: should it ever archive again, nobody of before may. */
const off = (before: ArchiveRecord | null): ArchiveRecord | null => (before === null ? null : { ...before, host: null, begun: false, attempts: 0, sources: [] });

function assigned(context: Context, wanted: ArchiveSettings, before: ArchiveRecord | null): ArchiveRecord | null {
  if (context.record.systemIdentifier === null) return before;
  const report = reported(context, before);
  const moved = before?.to !== wanted.to;
  const choice = chooseHost(context, wanted, before, report);
  if (choice === null) return before;
  const begun = !moved && (before.begun || report?.lsn != null);
  const sources = chooseSources(context, wanted, before, report);
  if (before !== null && !moved && choice.host === before.host) return { ...before, begun, attempts: report?.state === 'streaming' ? 0 : before.attempts, sources };
  return { epoch: (before?.epoch ?? 0) + 1, host: choice.host, to: wanted.to, begun, attempts: choice.unusable ? (before?.attempts ?? 0) + 1 : 0, sources };
}

/** What is said of the present assignment. */
function reported(context: Context, before: ArchiveRecord | null): ArchiveReport | null {
  const report = context.input.archive ?? null;
  return before !== null && report?.host === before.host && report.epoch === before.epoch ? report : null;
}

/** Whoever does it goes on, unless it is lost, no longer meant, or can't; null while nobody can be given it. */
function chooseHost(context: Context, wanted: ArchiveSettings, before: ArchiveRecord | null, report: ArchiveReport | null): { host: string; unusable: boolean } | null {
  const hosts = inOrder(context, wanted);
  const present = before?.host ?? null;
  const alive = hosts.filter((host) => silence(context, host) <= FRESH_MS);
  const hindered = present !== null && report?.error != null && (HERE_ALONE.has(report.error.code) || report.state === 'stopped');
  const hinderedFor = context.heldFor(`archive-unusable:${present}`, hindered);
  if (present !== null && hosts.includes(present)) {
    const unusable = hindered && hinderedFor >= UNUSABLE_MS * 2 ** Math.min(before?.attempts ?? 0, 5);
    if (!unusable && silence(context, present) < HOST_LOST_MS) return { host: present, unusable: false };
    const next = after(hosts, present).find((host) => alive.includes(host));
    return next === undefined ? { host: present, unusable: false } : { host: next, unusable };
  }
  // At a group's birth there is its primary alone: the others are waited for.
  const first = alive[0];
  const early = first !== undefined && context.heldFor('archive-first', true) < FIRST_MS && Object.values(context.spec.members).some((member) => !context.record.members[member.name]?.joined);
  return first === undefined || early ? null : { host: first, unusable: false };
}

/** Those behind `present`, then those before it. */
const after = (hosts: string[], present: string): string[] => [...hosts.slice(hosts.indexOf(present) + 1), ...hosts.slice(0, hosts.indexOf(present))];

/** The hosts that may archive, by name, that of the primary last: it has enough to do, and its loss is what archives are for. */
function inOrder(context: Context, wanted: ArchiveSettings): string[] {
  const { record } = context;
  const members = Object.values(record.members).filter((member) => isIn(context, member.name));
  const hosts = [...new Set(members.map((member) => member.host))].filter((host) => wanted.hosts === null || wanted.hosts.includes(host)).sort();
  const primary = record.members[record.primary ?? '']?.host;
  return [...hosts.filter((host) => host !== primary), ...hosts.filter((host) => host === primary)];
}

/** Since when nothing was heard of the host's agent, ms. */
function silence(context: Context, host: string): number {
  const members = Object.values(context.record.members).filter((member) => member.host === host);
  return Math.min(...members.map((member) => context.silence(member.name)));
}

/**
 * The one that is meant first, while it is there and well (one that falters for a moment is kept, one that comes back
 * has to prove itself), then everybody else who may have the WAL: the primary, then by name.
 */
function chooseSources(context: Context, wanted: ArchiveSettings, before: ArchiveRecord | null, report: ArchiveReport | null): Endpoint[] {
  const { record, spec } = context;
  const pool = Object.values(record.members).filter((member) => isIn(context, member.name) && member.role !== 'standby' && (member.joined || member.name === record.primary));
  const others = pool.toSorted((a, b) => Number(b.name === record.primary) - Number(a.name === record.primary) || a.name.localeCompare(b.name));
  const role = wanted.source ?? (Object.values(spec.members).some((member) => member.role === 'logger') ? 'logger' : 'primary');
  const present = before?.sources[0]?.member;
  const meant = others.filter((member) => (role === 'primary' ? member.name === record.primary : member.role === role && member.name !== record.primary));
  const judged = meant.map((member) => {
    const well = isWell(context, member, report);
    const lost = context.heldFor(`archive-lost:${member.name}`, !well);
    const back = context.heldFor(`archive-well:${member.name}`, well);
    return { member, kept: member.name === present && lost < LOST_MS, taken: well && (present === undefined || back >= BACK_MS) };
  });
  const stays = record.primary === null ? pool.find((member) => member.name === present) : undefined;
  const first = (judged.find(({ kept }) => kept) ?? judged.find(({ taken }) => taken))?.member ?? stays;
  return [...(first === undefined ? [] : [first]), ...others.filter((member) => member !== first)].map(endpoint);
}

/** It runs, its WAL is the group's, and it goes back to what is archived. */
function isWell(context: Context, member: MemberRecord, report: ArchiveReport | null): boolean {
  const own = context.report(member.name);
  if (own === null || !own.ready) return false;
  if (member.name === context.record.primary) return true;
  const reaches = member.role !== 'logger' || report?.lsn == null || own.oldest === null || lsnNumber(own.oldest) <= lsnNumber(report.lsn);
  return reaches && streams(context, member.name);
}

function tell(context: Context, before: ArchiveRecord | null, { host, to, sources }: ArchiveRecord): void {
  if (host === null) {
    context.tell({ level: 'info', kind: 'archive-off', message: `WAL is no longer archived to ${before?.to ?? to}` });
    return;
  }
  const from = sources[0] === undefined ? '' : ` from ${sources[0].member}`;
  const lost = before !== null && before.host !== null && before.host !== host && before.to === to ? `, in the place of ${before.host}` : '';
  context.tell({ level: lost === '' ? 'info' : 'warning', kind: 'archive-assigned', message: `${host} archives WAL${from} to ${to}${lost}` });
}
