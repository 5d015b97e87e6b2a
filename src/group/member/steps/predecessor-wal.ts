/**
 * What a predecessor left on the shared volume: where its WAL ends, and whether that can be all of it. A crash, of the machine
 * too, takes nothing that was flushed. What is missing all the same was damaged or deleted, and with it what was acknowledged.
 */
import { join } from 'node:path';
import { readControlFile, type ControlState } from '../../../engine/control.ts';
import { PgorbitError } from '../../../errors.ts';
import { formatLsn, parseLsn, type Lsn } from '../../../wal/lsn.ts';
import { findWalEnd, type WalEnd } from '../../../wal/scan.ts';
import { beginOf, historiesIn, timelinesOf } from './wal-end.ts';

/** Of a server that accepts writes, or did. A candidate that was given up before that may have less WAL than others. */
const ACCEPTED_WRITES: ReadonlySet<ControlState> = new Set(['in production', 'shutting down', 'shut down', 'in crash recovery']);

/** The member that takes over. */
export interface Successor {
  systemIdentifier: string | null;
  /** How far it has replayed. */
  replayed: Lsn;
  /** The newest timeline that it has WAL of. */
  timeline: number;
}

export interface LeftWal {
  /** Null where the successor is on a later timeline: whoever began that one had replayed all this. */
  end: WalEnd | null;
  /** Why this can't be all that the predecessor had flushed; null where it may be. */
  doubt: string | null;
}

/** @throws PgorbitError `wal-invalid`, `postgres-failed` where it can't be read, `unsafe` for another database system's data. */
export async function readLeftWal(dataDir: string, successor: Successor, signal: AbortSignal): Promise<LeftWal> {
  const control = await readControlFile(dataDir);
  if (successor.systemIdentifier !== null && control.systemIdentifier !== successor.systemIdentifier) {
    throw new PgorbitError('unsafe', `${dataDir} belongs to the database system ${control.systemIdentifier}, this member to ${successor.systemIdentifier}.`);
  }
  const walDir = join(dataDir, 'pg_wal');
  const [timeline = 1] = await timelinesOf(walDir, control.walSegmentSize);
  const wrote = ACCEPTED_WRITES.has(control.state);
  const begun = (await historiesIn(walDir)).filter((history) => history.begun).map((history) => history.timeline);
  const last = Math.max(control.timeline, ...begun);
  const lost = wrote && last > timeline ? `${walDir} holds no WAL of timeline ${last}, on which that server was.` : null;
  if (successor.timeline > timeline) return { end: null, doubt: lost };

  const begin = await beginOf(walDir, timeline);
  const from = successor.replayed > begin ? successor.replayed : begin;
  const end = await findWalEnd({ walDir, timeline, from, signal, segmentSize: control.walSegmentSize, systemIdentifier: BigInt(control.systemIdentifier) });
  // A primary flushes WAL before it sends it, and before its control file names it.
  const checkpoint = parseLsn(control.checkpoint);
  const known = checkpoint > from ? checkpoint : from;
  const short = wrote && end.end < known ? `The WAL in ${walDir} ends at ${formatLsn(end.end)}, and that server had been at ${formatLsn(known)}.` : null;
  return { end, doubt: lost ?? short };
}
