/** What the target's own WAL says: the checkpoint to replay from, where it ends, what it changed on the way. */
import { join } from 'node:path';
import { PgorbitError } from '../../errors.ts';
import { SegmentReader, readFirstHeader, segmentsOn } from '../../wal/files.ts';
import { type Lsn, formatLsn, minLsn, parseLsn, segmentStart } from '../../wal/lsn.ts';
import { firstRecordIn, readRecords } from '../../wal/records.ts';
import type { ControlData } from '../control.ts';
import { ChangedBlocks, type CheckpointRecord, checkpointOf, turnsFullPageWritesOff } from './changes.ts';

const FRESH = 'make this member anew from a fresh copy';

/** Where replay is to begin. */
export interface StartPoint {
  checkpoint: Lsn;
  redo: Lsn;
  timeline: number;
}

/** A control file's checkpoint. */
export function startOf(control: ControlData): StartPoint {
  return { checkpoint: parseLsn(control.checkpoint), redo: parseLsn(control.redo), timeline: control.timeline };
}

/**
 * The newest checkpoint before `fork` that all of the target's files are at least as new as. That is its control
 * file's, where this lies before the fork; a later record of a standby's WAL would not do, because only restartpoints
 * write its pages. Else it is the last one in the WAL before the fork: the target has completed a later one.
 * Throws `wal-invalid` where the WAL does not go back that far.
 */
export async function findStart(reader: SegmentReader, control: ControlData, fork: Lsn | null, signal: AbortSignal): Promise<StartPoint> {
  const own = startOf(control);
  if (fork === null || own.checkpoint < fork) return own;
  const size = BigInt(reader.segmentSize);
  for (let segment = segmentStart(fork - 1n, reader.segmentSize); segment >= 0n; segment -= size) {
    const first = await firstRecordIn(reader, segment);
    if (first === null) break;
    const until = minLsn(segment + size, fork);
    if (first >= until) continue;
    let found: CheckpointRecord | null = null;
    await readRecords(reader, {
      start: first, until, signal, systemIdentifier: BigInt(control.systemIdentifier),
      onRecord: (record) => {
        if (record.start < until && record.end <= fork) found = checkpointOf(record) ?? found;
      },
    });
    if (found !== null) return toStart(found);
  }
  throw new PgorbitError('wal-invalid', `${reader.walDir} holds no checkpoint before ${formatLsn(fork)}, where the timelines part: the WAL from there is removed`, {
    hint: `${FRESH}; a higher wal_keep_size would have kept it`,
  });
}

function toStart(record: CheckpointRecord): StartPoint {
  return { checkpoint: record.start, redo: record.redo, timeline: record.timeline };
}

/** Is the segment with the redo point there, so that replay could begin at it? */
export async function hasSegment(reader: SegmentReader, lsn: Lsn): Promise<boolean> {
  return (await readFirstHeader(reader.path(lsn)))?.address === segmentStart(lsn, reader.segmentSize);
}

/**
 * Reads from the redo point to the end of valid WAL, and says where that is and which blocks were changed from the
 * checkpoint's record on: as pg_rewind does, though those that were changed only before the fork are mended by replay.
 * Throws
 * `wal-invalid` unless all is there that the target's files may hold: its own last checkpoint, its minimum recovery
 * point, and nothing after the end; `unsafe` where full_page_writes was off, so that torn pages stay torn.
 */
export async function readTarget(reader: SegmentReader, control: ControlData, start: StartPoint, signal: AbortSignal): Promise<{ end: Lsn; changed: ChangedBlocks }> {
  const systemIdentifier = BigInt(control.systemIdentifier);
  const own = parseLsn(control.checkpoint);
  const changed = new ChangedBlocks();
  let first: CheckpointRecord | null = null;
  let sawOwn = false;
  let torn = false;
  const { end, stop } = await readRecords(reader, {
    start: start.redo, systemIdentifier, signal,
    onRecord: (record) => {
      if (record.start >= start.checkpoint) changed.add(record);
      torn ||= turnsFullPageWritesOff(record);
      if (record.start === start.checkpoint) first = checkpointOf(record);
      if (record.start === own) sawOwn = checkpointOf(record) !== null;
    },
  });
  const broken = (what: string): PgorbitError =>
    new PgorbitError('wal-invalid', `the WAL in ${reader.walDir} can be read only to ${formatLsn(end)} (${stop ?? 'stopped'}), ${what}`, { hint: FRESH });
  const { redo } = first ?? { redo: null };
  if (redo !== start.redo) throw broken(`and no checkpoint from ${formatLsn(start.redo)} is at ${formatLsn(start.checkpoint)}`);
  if (!sawOwn) throw broken(`and the files of this member are as new as ${control.checkpoint}`);
  if (end < parseLsn(control.minRecoveryPoint)) throw broken(`and the files of this member may be as new as ${control.minRecoveryPoint}`);
  for (const segment of await segmentsOn(reader)) {
    if (segment.start <= end) continue;
    const header = await readFirstHeader(join(reader.walDir, segment.name));
    if (header?.address === segment.start && header.long?.systemIdentifier === systemIdentifier) throw broken(`and goes on in ${segment.name}: it is damaged between`);
  }
  if (torn || !(first as unknown as CheckpointRecord).fullPageWrites) {
    throw new PgorbitError('unsafe', `${reader.walDir} was written with full_page_writes off: pages that were half written when this member ended cannot be mended`, { hint: FRESH });
  }
  return { end, changed };
}
