/** Up to where a copy of the data goes, as its running server says. */
import { NEWEST_TIMELINE } from './observe.ts';
import type { SqlSession } from '../../engine/sql.ts';
import { PgorbitError } from '../../errors.ts';
import { parseLsn } from '../../wal/lsn.ts';

/** Up to where the data go. */
export interface RecoveryPoint {
  timeline: number;
  /** `X/Y` */
  lsn: string;
  /** When the last replayed transaction was committed or rolled back, ISO 8601; null where none was since it started. */
  time: string | null;
}

/** SQL: RecoveryPoint's `time`. */
export const LAST_TRANSACTION = "to_char(pg_last_xact_replay_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

export interface Replayed {
  /** What is replayed. */
  point: RecoveryPoint;
  /** `X/Y`: received and not replayed yet up to here; null: all of it is replayed. */
  missing: string | null;
}

/** @throws `postgres-failed`, what the session throws */
export async function replayedBy(session: SqlSession): Promise<Replayed> {
  const rows = await session.query<RecoveryPoint & { received: string | null }>(
    `select ${NEWEST_TIMELINE} as timeline, coalesce(pg_last_wal_replay_lsn(), pg_current_wal_lsn())::text as lsn, pg_last_wal_receive_lsn()::text as received, ${LAST_TRANSACTION} as time`,
  );
  const row = rows[0];
  if (row === undefined) throw new PgorbitError('postgres-failed', 'the server does not say how far it has replayed');
  const { received, ...point } = row;
  return { point, missing: received === null || parseLsn(point.lsn) >= parseLsn(received) ? null : received };
}
