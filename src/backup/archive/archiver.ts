/** Keeps an archive of a group's WAL: one that is left running, and follows whoever has the WAL. */
import { createHash } from 'node:crypto';
import { errnoOf, PgorbitError } from '../../errors.ts';
import { Lifecycle, sleep } from '../../lifecycle.ts';
import { formatLsn, parseLsn } from '../../wal/lsn.ts';
import { explainStore } from '../folder-store.ts';
import { SystemFolder } from '../repository.ts';
import type { Held, Store } from '../store.ts';
import { type OpenArchive, openArchive } from './open.ts';
import { type ArchiveSource, archiveSession, dropSlot } from './session.ts';
import type { ArchivePosition } from './writer.ts';

export interface ArchiverOptions {
  store: Store;
  cluster: string;
  group: string;
  /** Who has the WAL just now; `others` are members on which a slot of an earlier time may have stayed. */
  find: () => Promise<{ source: ArchiveSource; others: ArchiveSource[] }>;
  onEvent: (event: ArchiveEvent) => void;
  now: () => number;
  signal: AbortSignal;
}

export type ArchiveEvent =
  | { kind: 'streaming'; member: string; timeline: number; slot: string; dir: string }
  /** Everything before `lsn` is archived. */
  | { kind: 'archived'; timeline: number; lsn: string }
  /** The connection is lost, or could not be made; it is tried again. */
  | { kind: 'waiting'; error: PgorbitError };

const QUICK_MS = 200;
const SLOW_MS = 1_000;
const SWEEP_MS = 30_000;

/** A name that pgorbit's own care for a group's slots leaves alone; another repository has another. */
export function slotOf(store: Store): string {
  return `backup_${createHash('sha256').update(store.where).digest('hex').slice(0, 12)}`;
}

/**
 * Runs until the signal aborts; losses of the connection, a full disk and failovers are waited out. Throws PgorbitError
 * `locked` where another archiver is at work, `wal-invalid` when the server no longer has what the archive lacks.
 */
export async function runArchiver(options: ArchiverOptions): Promise<void> {
  const { store, signal, onEvent } = options;
  const slot = slotOf(store);
  let held: (Held & { name: string }) | null = null;
  let archive: OpenArchive | null = null;
  let waiting = '';
  let announced = '';
  // A member that is down while the source changes comes back with its old slot. One that can't be asked now is asked again.
  const life = new Lifecycle(() => {});
  life.every(SWEEP_MS, 'slots of an earlier time', async () => leaveOthers((await options.find()).others, slot, life.signal));
  try {
    while (!signal.aborted) {
      let streamed = false;
      try {
        const { source } = await options.find();
        let system: SystemFolder | null = null;
        const session = archiveSession({
          source, slot: { name: slot, make: true }, now: options.now, signal,
          open: async (identity) => {
            system = new SystemFolder(store, SystemFolder.nameOf(options.cluster, options.group, identity.systemIdentifier));
            await archive?.close();
            archive = null;
            if (held?.name !== system.name || held.lost.aborted) {
              await held?.release();
              held = null;
              const { lost, release } = await store.lock(system.key('archive.lock'), `the archiver of ${options.cluster}`);
              held = { name: system.name, lost, release };
            }
            archive = await openArchive(system, identity.segmentSize, held.lost);
            return archive.writer;
          },
          wanted: async () => (system === null ? null : newestBackupEnd(system)),
          onStreaming: ({ timeline }) => {
            streamed = true;
            onEvent({ kind: 'streaming', member: source.member, timeline, slot, dir: system === null ? store.where : system.path('wal') });
          },
          onFlushed: (writer) => {
            const lsn = `${writer.timeline}:${formatLsn(writer.flushed)}`;
            if (lsn !== announced) onEvent({ kind: 'archived', timeline: writer.timeline, lsn: formatLsn(writer.flushed) });
            if (lsn !== announced) waiting = '';
            announced = lsn;
          },
        });
        await session;
      } catch (error) {
        if (signal.aborted) break;
        const told = explain(error, store.where);
        // A lock that was lost while the store was away is taken again, unless another has it by then.
        const lost = (held as Held | null)?.lost.aborted === true;
        if ((told.code === 'locked' && !lost) || told.code === 'wal-invalid' || told.code === 'permission' || told.code === 'not-ours') throw told;
        if (told.message !== waiting) onEvent({ kind: 'waiting', error: told });
        waiting = told.message;
      }
      await sleep(streamed ? QUICK_MS : SLOW_MS, signal);
    }
  } finally {
    await life.stop();
    await (archive as OpenArchive | null)?.close();
    await (held as Held | null)?.release();
  }
}

/** Where the newest whole backup ends. */
export async function newestBackupEnd(system: SystemFolder): Promise<ArchivePosition | null> {
  const label = (await system.labels()).at(-1);
  if (label === undefined) return null;
  const { timeline, stopLsn } = await system.info(label);
  return { timeline, lsn: parseLsn(stopLsn) - 1n };
}

/** A member that was the source once may still keep WAL for us. One that does not answer is left for the next time. */
async function leaveOthers(others: readonly ArchiveSource[], slot: string, signal: AbortSignal): Promise<void> {
  await Promise.allSettled(others.map((one) => dropSlot(one, slot, signal)));
}

/** What keeps an archiver from its work, for a person. */
export function explain(error: unknown, where: string): PgorbitError {
  const told = explainStore(error, where);
  if (told instanceof PgorbitError) return told;
  return new PgorbitError('operation-failed', `archiving to ${where}: ${error instanceof Error ? error.message : String(error)}`, { cause: error, hint: errnoOf(error) });
}
