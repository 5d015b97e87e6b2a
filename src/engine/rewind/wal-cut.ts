/** Makes a data directory's pg_wal one of the common history only: up to the fork, and not a byte further. */
import { chown, copyFile, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, writeDurably } from '../../durable.ts';
import { segmentTimeline } from '../../wal/files.ts';
import { type TimelineHistory, timelineSpans } from '../../wal/history.ts';
import { type Lsn, minLsn, parseSegmentName, segmentName, segmentOffset } from '../../wal/lsn.ts';
import type { OsUser } from '../osuser.ts';

/** `lsn`: where the target's history leaves the source's; `timeline`: the last one that they share. */
export interface Fork {
  timeline: number;
  lsn: Lsn;
}

/**
 * True for a segment file to keep: one of a timeline that both have, with WAL from before the fork. All else in pg_wal
 * goes: diverged and recycled segments, histories that the source does not know, summaries of diverged WAL.
 */
export function keepsWalFile(name: string, history: TimelineHistory, fork: Fork, segmentSize: number): boolean {
  const id = parseSegmentName(name, segmentSize);
  const span = timelineSpans(history).find((one) => one.timeline === id?.timeline);
  if (!id || !span || span.timeline > fork.timeline) return false;
  return id.start < minLsn(span.end ?? fork.lsn, fork.lsn);
}

export interface CutOptions {
  walDir: string;
  /** The source's. */
  history: TimelineHistory;
  targetHistory: TimelineHistory;
  fork: Fork;
  segmentSize: number;
  owner: OsUser | null;
  /** Texts by file name. */
  historyFiles: ReadonlyMap<string, string>;
}

/**
 * Removes what keepsWalFile() does not keep, zeroes the segment of the fork from there on, and writes the history
 * files. Left as it was, replay would take the diverged records after the fork for the source's until the new
 * timeline's segment is there (XLogFileReadAnyTLI).
 */
export async function cutWal(options: CutOptions): Promise<void> {
  const { walDir, history, targetHistory, fork, segmentSize, owner } = options;
  const offset = segmentOffset(fork.lsn, segmentSize);
  const last = segmentName(fork.timeline, fork.lsn, segmentSize);
  if (offset !== 0) {
    // A timeline's first segment repeats its parent's part, so the common part may lie under the diverged one's name.
    const read = segmentName(segmentTimeline(targetHistory, fork.lsn, segmentSize), fork.lsn, segmentSize);
    if (read !== last) {
      await copyFile(join(walDir, read), join(walDir, last));
      if (owner) await chown(join(walDir, last), owner.uid, owner.gid);
    }
    await zeroFrom(join(walDir, last), offset, segmentSize);
  }
  const kept = (name: string): boolean => keepsWalFile(name, history, fork, segmentSize);
  for (const entry of await readdir(walDir, { withFileTypes: true })) {
    if (entry.isDirectory()) {
      for (const name of await readdir(join(walDir, entry.name))) {
        if (entry.name !== 'archive_status' || !kept(name.replace(/\.(?:ready|done)$/, ''))) await rm(join(walDir, entry.name, name), { force: true });
      }
    } else if (!kept(entry.name)) {
      await rm(join(walDir, entry.name), { force: true });
    }
  }
  // Cut as it is, the segment must never be archived; the server marks what it got by streaming the same way.
  if (offset !== 0) {
    const status = join(walDir, 'archive_status');
    await rm(join(status, `${last}.ready`), { force: true });
    if (await exists(status)) await writeDurably(join(status, `${last}.done`), '', { asFolderOwner: true });
  }
  for (const [name, text] of options.historyFiles) await writeDurably(join(walDir, name), text, { asFolderOwner: true });
}

async function zeroFrom(file: string, offset: number, size: number): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const zeros = Buffer.alloc(1 << 20);
    for (let at = offset; at < size; ) at += (await handle.write(zeros, 0, Math.min(zeros.length, size - at), at)).bytesWritten;
    await handle.sync();
  } finally {
    await handle.close();
  }
}
