/** On which backup an incremental one builds, and why none can. */
import { NOT_IN_PREREQUISITE_STATE } from '../../engine/basebackup/basebackup.ts';
import { MANIFEST_FILE } from '../../engine/basebackup/manifest.ts';
import { PgorbitError } from '../../errors.ts';
import { type TimelineHistory, isAncestor, parseHistory } from '../../wal/history.ts';
import { parseLsn } from '../../wal/lsn.ts';
import { type ReplicationClient, UpstreamError } from '../../wire/client.ts';
import type { BackupInfo } from '../info.ts';
import type { SystemFolder } from '../repository.ts';
import { type Identity, oneRow } from '../source.ts';
import { type Generation, checkLineage, lineageOf, reading } from './lineage.ts';

/** The first with WAL summaries. */
const FIRST_MAJOR = 17;
const FULL = 'take a full backup: `pgorbit backup`; the next incremental ones build on it';

const needsFull = (message: string, hint = FULL, cause?: unknown): PgorbitError => new PgorbitError('needs-full-backup', message, { hint, cause });

/** The past of a source. Throws PgorbitError `needs-full-backup` where it makes no incremental backups. */
export async function askForIncremental(client: ReplicationClient, member: string, { major, version, timeline }: Identity): Promise<TimelineHistory> {
  if (major < FIRST_MAJOR) throw needsFull(`${member} runs PostgreSQL ${version}, and incremental backups begin with ${FIRST_MAJOR}`, 'take a full backup: `pgorbit backup`');
  const [summarize] = await oneRow(client, 'SHOW summarize_wal');
  if (summarize !== 'on') {
    throw needsFull(`${member} does not note in WAL summaries what changes (summarize_wal is off): it cannot tell what an incremental backup would have to hold`, `\`pgorbit set summarize_wal=on\`, and then ${FULL}`);
  }
  if (timeline === 1) return { timeline, parents: [] };
  const [, text] = await oneRow(client, `TIMELINE_HISTORY ${timeline}`);
  return parseHistory(timeline, text ?? '');
}

/**
 * The named backup, or the newest of the source's past that is whole as far as can be told without reading all of it: what
 * it builds on is there, and fits. The last of the lineage is the one.
 * Throws PgorbitError `no-such-backup`, `needs-full-backup`, `backup-damaged`.
 */
export async function chooseParent(system: SystemFolder, history: TimelineHistory, wanted: string | null): Promise<{ lineage: Generation[]; manifest: Buffer }> {
  if (wanted !== null) {
    const info = await system.info(wanted);
    if (!isPast(history, info)) throw needsFull(`${info.label} ends at ${info.stopLsn} on timeline ${info.timeline}, which is not in the past of timeline ${history.timeline}: the group has left it behind in a failover`, `name a backup of before that with --from, or ${FULL}`);
    return open(system, info);
  }
  let broken: PgorbitError | null = null;
  for (const label of (await system.labels()).toReversed()) {
    try {
      const info = await system.info(label);
      if (isPast(history, info)) return await open(system, info);
    } catch (error) {
      if (!(error instanceof PgorbitError) || error.code !== 'backup-damaged') throw error;
      broken ??= error;
    }
  }
  if (broken !== null) throw needsFull(`no backup in ${system.path()} can be built on: ${broken.message}`, FULL, broken);
  throw needsFull(`${system.path()} has no backup of the past of timeline ${history.timeline} that an incremental one can build on`);
}

/** Else it has changes that the server never saw, and would not undo. The server itself does not look at where it ends. */
function isPast(history: TimelineHistory, info: BackupInfo): boolean {
  return isAncestor(history, { timeline: info.timeline, lsn: parseLsn(info.stopLsn) });
}

async function open(system: SystemFolder, info: BackupInfo): Promise<{ lineage: Generation[]; manifest: Buffer }> {
  const lineage = await lineageOf(system, info);
  await checkLineage(lineage);
  return { lineage, manifest: await reading(lineage.at(-1)!, MANIFEST_FILE) };
}

/** A backup that was made just now, last of the lineage, fits what it builds on: nobody shall find out when it is restored. */
export async function checkMade(lineage: readonly Generation[]): Promise<void> {
  try {
    await checkLineage(lineage);
  } catch (error) {
    if (error instanceof PgorbitError && error.code === 'backup-damaged') throw needsFull(`the incremental backup does not fit what it builds on, and is not kept: ${error.message}`, FULL, error);
    throw error;
  }
}

/** What a server said that makes no incremental backup on `parent`, for a person. */
export function explainRefusal(error: unknown, member: string, parent: string): unknown {
  if (!(error instanceof UpstreamError) || error.state !== NOT_IN_PREREQUISITE_STATE) return error;
  const said = error.hint === undefined ? '' : ` ${error.hint}`;
  return needsFull(`${member} makes no incremental backup on ${parent}: ${error.message}.${said}`,
    `${FULL}. A member has WAL summaries from when summarize_wal was turned on, or it was made, and for wal_summary_keep_time (10 days by default): another member may still have them (--source)`, error);
}
