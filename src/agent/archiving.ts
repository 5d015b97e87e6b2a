/** What an agent makes of a group's archiver: what it is to do, how it does, and what of that is worth an event. Pure. */
import type { ArchiverFile, ArchiverStatus } from '../backup/archive/files.ts';
import type { ErrorReport } from '../errors.ts';
import { ARCHIVE_SLOT } from '../group/decide/goals.ts';
import type { Account, ArchiveProgress, ArchiveReport, GroupRecord, GroupSpec } from '../group/model.ts';
import type { EventDraft } from '../observe/event.ts';

export interface ArchiverInput {
  cluster: string;
  clusterId: string;
  host: string;
  record: GroupRecord | undefined;
  spec: GroupSpec | undefined;
  account: Account;
}

/** The configuration of this host's archiver of the group; null where it is to have none. */
export function archiverFile({ cluster, clusterId, host, record, spec, account }: ArchiverInput): ArchiverFile | null {
  const archive = record?.archive;
  if (record === undefined || archive?.host !== host) return null;
  return {
    cluster, clusterId, group: record.group, epoch: archive.epoch, to: archive.to, make: !archive.begun, flushMs: spec?.archive?.flushMs ?? 1_000, account,
    sources: archive.sources.map((source) => ({ ...source, slot: record.members[source.member]?.role === 'logger' ? null : ARCHIVE_SLOT })),
  };
}

/** `write`: the process takes it over while it runs. `forget`: nothing of it runs any more, and nothing of it is needed. */
export function archiverStep(wanted: ArchiverFile | null, present: ArchiverFile | null, runs: boolean): 'start' | 'stop' | 'write' | 'forget' | null {
  if (wanted === null) return runs ? 'stop' : 'forget';
  if (!runs) return 'start';
  if (present === null || fixed(present) !== fixed(wanted)) return 'stop';
  return JSON.stringify(present) === JSON.stringify(wanted) ? null : 'write';
}

const fixed = ({ cluster, clusterId, group, epoch, to }: ArchiverFile): string => JSON.stringify([cluster, clusterId, group, epoch, to]);

const S3_NAMES = /^(AWS_[A-Z0-9_]+|PGORBIT_S3_[A-Z0-9_]+|NODE_EXTRA_CA_CERTS)$/;

/** What an archiver gets of the agent's environment: how S3 stores are reached. `config` is the document where none is named. */
export function s3Environment(env: NodeJS.ProcessEnv, config: string | undefined): Record<string, string> {
  const own = Object.entries(env).filter((entry): entry is [string, string] => S3_NAMES.test(entry[0]) && entry[1] !== undefined);
  return { ...(config === undefined ? {} : { PGORBIT_S3_CONFIG: config }), ...Object.fromEntries(own) };
}

export interface ReportInput {
  group: string;
  host: string;
  /** Of the assignment that this host has. */
  epoch: number;
  pid: number | null;
  /** As it was written last, perhaps for an earlier assignment. */
  status: ArchiverStatus | null;
  /** Why it does not run. */
  error: ErrorReport | null;
  /** ms since 1970 */
  now: number;
}

/** A status that was not written anew for so long: the process hangs, for its disk, say. ms */
const SILENT_MS = 15_000;

export function reportOf({ group, host, epoch, pid, status: last, error, now }: ReportInput): ArchiveReport {
  const status = last?.epoch === epoch ? last : null;
  const own = status !== null && status.pid === pid;
  const silent = own && now - status.at > SILENT_MS;
  return {
    group, host, epoch, pid,
    state: pid === null ? 'stopped' : !own ? 'starting' : silent ? 'waiting' : status.state,
    ...progressOf(status),
    behindMs: behind(status, own && !silent, now),
    error: silent ? { code: 'operation-failed', message: `the archiver (process ${pid}) has said nothing for ${Math.round((now - status.at) / 1000)} s`, hint: 'it waits inside the kernel, as a rule for the disk or the network file system that it archives to' } : ((own ? status.error : null) ?? error),
  };
}

/** That alone; without anything nulls. */
export function progressOf(of: ArchiveProgress | null): ArchiveProgress {
  const { source = null, timeline = null, lsn = null, segment = null, gap = null } = of ?? {};
  return { source, timeline, lsn, segment, gap };
}

/** While it streams, as it says; else it grows. */
function behind(status: ArchiverStatus | null, lives: boolean, now: number): number | null {
  if (status?.currentAt == null) return null;
  return Math.max(0, (lives && status.state === 'streaming' ? status.at : now) - status.currentAt);
}

/** Trouble that passes within this time, a failover, say, is no event. ms */
const PATIENCE_MS = 5_000;

/** What was told of an archiver, so that nothing is told twice. */
export class Story {
  #stream = '';
  #error: string | null = null;
  #troubledSince: number | null = null;
  #gap = '';

  /** @param now ms, monotonic */
  next(report: ArchiveReport, to: string, now: number): EventDraft[] {
    return [...this.#troubles(report, to, now), ...this.#streams(report, to), ...this.#gaps(report)];
  }

  #troubles({ error, state }: ArchiveReport, to: string, now: number): EventDraft[] {
    if (error === null && state !== 'stopped') {
      this.#troubledSince = null;
      return [];
    }
    this.#troubledSince ??= now;
    const message = error?.message ?? 'the archiver does not run';
    if (now - this.#troubledSince < PATIENCE_MS || message === this.#error) return [];
    this.#error = message;
    return [{ level: 'error', kind: 'archive-error', message: `WAL is not archived to ${to}: ${message}${error?.hint === undefined ? '' : ` (${error.hint})`}` }];
  }

  #streams({ state, source, timeline }: ArchiveReport, to: string): EventDraft[] {
    const stream = `${source} ${timeline}`;
    if (state !== 'streaming' || (stream === this.#stream && this.#error === null)) return [];
    this.#stream = stream;
    this.#error = null;
    return [{ level: 'info', kind: 'archive-streaming', message: `WAL of timeline ${timeline} is archived from ${source} to ${to}` }];
  }

  #gaps({ gap }: ArchiveReport): EventDraft[] {
    const told = JSON.stringify(gap);
    if (gap === null || told === this.#gap) return [];
    this.#gap = told;
    return [{ level: 'error', kind: 'archive-gap', message: `WAL from ${gap.from} (timeline ${gap.timeline}) to ${gap.to} was not archived, and no member has it any more: a backup of before can't be restored beyond it; take a new one` }];
  }
}
