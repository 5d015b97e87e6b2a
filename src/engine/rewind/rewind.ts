/**
 * Brings a diverged member back to the history of its new primary without copying it whole: the algorithm of
 * src/bin/pg_rewind, which the embedded PostgreSQL lacks, and for crashed members too, which pg_rewind starts once
 * first. That is not needed: pages never reach the disk before their WAL, so the WAL up to its last valid record
 * names every block that may have changed; and replay from a checkpoint that the member completed mends whatever the
 * crash tore before the fork, by full-page images.
 *
 * Configuration files come from the source as with pg_rewind, except pgorbit's own (`pgorbit.*`), pg_hba.conf and
 * standby.signal, which stay as they are. Tablespaces are refused.
 */
import { open, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PgorbitError } from '../../errors.ts';
import { syncFolder, writeDurably } from '../../durable.ts';
import { SegmentReader, readHistory, segmentTimeline } from '../../wal/files.ts';
import { type TimelineHistory, forkPoint, historyFileName, isAncestor } from '../../wal/history.ts';
import { type Lsn, formatLsn, parseLsn, segmentName, segmentOffset } from '../../wal/lsn.ts';
import { LONG_HEADER, SHORT_HEADER, WAL_PAGE } from '../../wal/page.ts';
import { type ControlData, readControlFile } from '../control.ts';
import { syncTree } from '../files.ts';
import type { OsUser } from '../osuser.ts';
import type { SqlSession } from '../sql.ts';
import { copyFiles } from './copy.ts';
import { backupLabel, rewoundControl } from './finish.ts';
import { type RewindPlan, planRewind } from './plan.ts';
import { RewindSource } from './source.ts';
import { checkTarget, listTarget } from './target.ts';
import { type StartPoint, findStart, hasSegment, readTarget, startOf } from './walk.ts';
import { type CutOptions, type Fork, cutWal } from './wal-cut.ts';

const FRESH = 'make this member anew from a fresh copy';

export interface RewindOptions {
  /** Of a server that is known to have ended, in whatever way. */
  dataDir: string;
  /** A superuser's, to the new primary. */
  source: SqlSession;
  /** For error messages. */
  sourceName: string;
  /** Who new files belong to; null: us. */
  owner: OsUser | null;
  /** Bytes fetched, and to fetch. */
  onProgress: (progress: { done: number; total: number }) => void;
  /** Awaited before the first byte of the target changes. */
  beforeWriting: () => Promise<void>;
  signal: AbortSignal;
}

export interface RewindResult {
  /** Where the member's WAL leaves the source's, `X/Y`: its end where it does not. */
  fork: string;
  /** The member's timeline before. */
  from: number;
  /** The source's. */
  to: number;
  /** Fetched from the source. */
  bytes: number;
  /** Files that changed, appeared or went, pg_wal aside. */
  files: number;
  /** `cut`: its records are all the source's, and behind the last one was the beginning of another. */
  how: 'nothing-to-do' | 'cut' | 'rewound';
}

/**
 * Rewinds `dataDir`. Afterwards it is to be started as a standby (standby.signal, primary_conninfo): it replays its own
 * WAL from the last common checkpoint to the fork and streams the rest, and is consistent when it has replayed what
 * the source had written at the end of the copy. Or there was nothing to do, and it can follow as it is.
 *
 * Until `beforeWriting` is called nothing has changed, whatever is thrown: `other-cluster`; `unsafe` and `wal-invalid`
 * where it cannot be proven right, and a fresh copy is the way; the signal's reason. What is thrown later leaves a
 * folder that must not be started.
 */
export async function rewind(options: RewindOptions): Promise<RewindResult> {
  const { dataDir, signal } = options;
  const source = new RewindSource(options.source, options.sourceName);
  const control = await readControlFile(dataDir);
  const timeline = await source.timeline();
  // Before anything else is read of it: its disk is at least as new as this checkpoint.
  const sourceControl = (await source.control()).data;
  await checkTarget(dataDir, control, sourceControl, options.sourceName);

  const walDir = await realpath(join(dataDir, 'pg_wal'));
  const from = Math.max(control.timeline, control.minRecoveryTimeline);
  const targetHistory = await ownHistory(walDir, from);
  const { history, text } = await source.history(timeline);
  const common = forkPoint(targetHistory, history);
  if (common === null) throw new PgorbitError('wal-invalid', `${dataDir} and ${options.sourceName} have no timeline in common`, { hint: FRESH });
  const { walSegmentSize: segmentSize } = control;
  const reader = new SegmentReader(walDir, targetHistory, segmentSize);
  try {
    const own = await findStart(reader, control, common.lsn, signal);
    const { end, changed } = await readTarget(reader, control, own, signal);
    const nothing: RewindResult = { fork: formatLsn(end), from, to: timeline, bytes: 0, files: 0, how: 'nothing-to-do' };
    if (common.lsn === null) {
      if (end <= (await source.insertEnd(segmentSize))) return nothing;
      throw new PgorbitError('wal-invalid', `${dataDir} has WAL to ${formatLsn(end)} on timeline ${timeline}, more than its primary ${options.sourceName}`, { hint: FRESH });
    }
    const fork: Fork = { timeline: common.timeline, lsn: common.lsn };
    const cutting = async (): Promise<CutOptions> =>
      ({ walDir, history, targetHistory, fork, segmentSize, owner: options.owner, historyFiles: await histories(source, history, text) });
    if (isAncestor(history, { timeline: from, lsn: end })) {
      if (end !== fork.lsn || !(await beganAnother(reader, end))) return nothing;
      const cut = await cutting();
      await options.beforeWriting();
      await cutWal(cut);
      await syncTree(walDir);
      return { ...nothing, how: 'cut' };
    }

    await source.requireSegment(segmentName(segmentTimeline(history, fork.lsn, segmentSize), fork.lsn, segmentSize), fork.lsn);
    const start = await startForBoth(reader, source, own, { target: control, source: sourceControl }, signal);
    const plan = planRewind(await listTarget(dataDir), await source.list(), changed);
    const cut = await cutting();
    signal.throwIfAborted();

    await options.beforeWriting();
    const bytes = await perform(options, source, sourceControl, plan, start, cut);
    return { fork: formatLsn(fork.lsn), from, to: timeline, bytes, files: plan.files, how: 'rewound' };
  } finally {
    await reader.close();
  }
}

/**
 * Does more than zeros follow? A record's first field is its length, which is never 0 (access/xlogrecord.h). Where the segment ends
 * within that record, replay asks the source for the next segment only, and never gets the record that is there in its place.
 */
async function beganAnother(reader: SegmentReader, end: Lsn): Promise<boolean> {
  const header = segmentOffset(end, reader.segmentSize) === 0 ? LONG_HEADER : end % BigInt(WAL_PAGE) === 0n ? SHORT_HEADER : 0;
  const length = Buffer.alloc(4);
  return (await reader.read(end + BigInt(header), length)) === length.length && length.readUInt32LE() !== 0;
}

/** Changes the data directory; resolves to the bytes fetched. */
async function perform(options: RewindOptions, source: RewindSource, sourceControl: ControlData, plan: RewindPlan, start: StartPoint, cut: CutOptions): Promise<number> {
  const { dataDir, owner, signal } = options;
  const mode = ((await stat(dataDir)).mode & 0o040) !== 0 ? 0o640 : 0o600;
  const onProgress = (done: number): void => options.onProgress({ done, total: plan.bytes });
  const bytes = await copyFiles({ dataDir, source, plan, owner, mode, onProgress, signal });
  const { timeline } = cut.history;
  const finished = await stillThere(source, sourceControl, timeline, cut.segmentSize);
  await syncTree(dataDir);
  // The label first: from here on, another attempt sees that this one was not finished.
  await writeDurably(join(dataDir, 'backup_label'), backupLabel(start, cut.segmentSize, new Date()), { mode, asFolderOwner: true });
  await cutWal(cut);
  await syncTree(cut.walDir);
  await writeControl(dataDir, rewoundControl(finished.bytes, { timeline, lsn: finished.end }, new Date()));
  await syncTree(dataDir);
  return bytes;
}

/**
 * Where replay has to begin for files of both sides: `own`, or the source's older restartpoint, since what it replayed
 * after that may not be on its disk yet. Where the member no longer has the WAL from there, the source writes a
 * checkpoint.
 */
async function startForBoth(reader: SegmentReader, source: RewindSource, own: StartPoint, control: { target: ControlData; source: ControlData }, signal: AbortSignal): Promise<StartPoint> {
  const older = startOf(control.source);
  if (older.redo >= own.redo) return own;
  if (await hasSegment(reader, older.redo)) {
    await readTarget(reader, control.target, older, signal); // that the WAL from there is whole
    return older;
  }
  await source.checkpoint();
  const { redo } = (await source.control()).data;
  if (parseLsn(redo) < own.redo) throw new PgorbitError('operation-failed', `${source.name} made a checkpoint, but its control file says ${redo}`);
  return own;
}

/** Its history as recovery takes it; a timeline but the first has a file. */
async function ownHistory(walDir: string, timeline: number): Promise<TimelineHistory> {
  const history = await readHistory(walDir, timeline);
  if (timeline !== 1 && history.parents.length === 0) {
    throw new PgorbitError('wal-invalid', `${walDir} has no ${historyFileName(timeline)}, so nobody knows where its timeline began`, { hint: FRESH });
  }
  return history;
}

/** The history files of the source's timeline and, as far as it has them, of those that it came from. */
async function histories(source: RewindSource, history: TimelineHistory, own: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  if (history.timeline !== 1) files.set(historyFileName(history.timeline), own);
  for (const { timeline } of history.parents) {
    const text = await source.historyText(timeline);
    if (text !== null) files.set(historyFileName(timeline), text);
  }
  return files;
}

/** That the files came from one primary, and up to where its WAL has to be replayed to make them consistent. */
async function stillThere(source: RewindSource, before: ControlData, timeline: number, segmentSize: number): Promise<{ bytes: Buffer; end: Lsn }> {
  const { data, bytes } = await source.control();
  if ((await source.timeline()) !== timeline || data.systemIdentifier !== before.systemIdentifier || data.state !== 'in production') {
    throw new PgorbitError('operation-failed', `${source.name} stopped being the primary of timeline ${timeline} while its files were copied`, { hint: 'try again with the new primary' });
  }
  return { bytes, end: await source.insertEnd(segmentSize) };
}

/** In place, as the server does it: the file is one sector's worth of bytes. */
async function writeControl(dataDir: string, bytes: Buffer): Promise<void> {
  const handle = await open(join(dataDir, 'global', 'pg_control'), 'r+');
  try {
    await handle.write(bytes, 0, bytes.length, 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await syncFolder(join(dataDir, 'global'));
}
