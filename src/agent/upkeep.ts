/** What is done for a running member from time to time: views in every database, and WAL that others still need. */
import { SqlSession } from '../engine/sql.ts';
import { toReport } from '../errors.ts';
import { ARCHIVE_SLOT } from '../group/decide/goals.ts';
import type { LoggerRunner } from '../group/logger/runner.ts';
import type { MemberRunner } from '../group/member/runner.ts';
import type { Endpoint, WalPosition } from '../group/model.ts';
import { parseLsn } from '../wal/lsn.ts';
import { installViews } from '../group/views/install.ts';

export type Upkeep = () => Promise<void>;

/** The views are made by the primary, and come to everybody else in its WAL; new databases get them from template1. */
export function showViews({ member }: MemberRunner): Upkeep {
  const known = new Set<number>();
  const told = new Set<string>();
  return async () => {
    if (member.orders.goal.kind !== 'primary' || member.observation?.inRecovery !== false) return;
    const connect = (name: string): Pick<SqlSession, 'query' | 'close'> => (name === 'postgres' ? lent(member.sql()) : member.connectToSelf(name));
    for (const { database, error } of await installViews(connect, known)) {
      if (told.has(database)) continue;
      told.add(database);
      member.tell({ level: 'warning', kind: 'views', message: `database ${database} has no pgorbit views: ${toReport(error).message}` });
    }
  };
}

/** A session that others use on: it stays open. */
const lent = (sql: SqlSession): Pick<SqlSession, 'query' | 'close'> => ({ query: (text, params, options) => sql.query(text, params, options), close: async () => undefined });

const OLDEST = `
select min(restart_lsn)::text as oldest from pg_replication_slots
where slot_type = 'physical' and slot_name like 'pgorbit\\_%' and wal_status is distinct from 'lost' and not pg_is_in_recovery()`;

/** After this long the primary is asked again, whether there is more WAL or not. ms */
const HOLD_ANEW_MS = 60_000;
/** log2 of the bytes of WAL after which it is worth while to ask what of it may go: a segment's, as a rule. */
const HOLD_BITS = 24n;

/**
 * A logger keeps what somebody may still ask for: from the oldest position on at which a slot of the primary stands.
 * While no primary answers, the last known one holds. Nobody is asked as long as there is hardly more WAL than before.
 */
export function holdWal(logger: LoggerRunner): Upkeep {
  let asked = { about: '', at: -Infinity };
  return async () => {
    const { orders, status } = logger.member;
    if (orders.goal.kind !== 'follow') return;
    const { address, port } = orders.goal.upstream;
    const about = `${address}:${port} ${status?.flushed == null ? '' : parseLsn(status.flushed) >> HOLD_BITS}`;
    if (about === asked.about && performance.now() - asked.at < HOLD_ANEW_MS) return;
    if (await askHolds(logger, orders.goal.upstream)) asked = { about, at: performance.now() };
  };
}

/** @returns whether the primary has answered. */
async function askHolds(logger: LoggerRunner, upstream: Endpoint): Promise<boolean> {
  const { environment } = logger.member;
  const session = new SqlSession({ host: upstream.address, port: upstream.port, ...environment.secrets.agent });
  try {
    const rows = await session.query<{ oldest: string | null }>(OLDEST);
    if (rows[0]?.oldest) logger.setHolds([rows[0].oldest]);
    return Boolean(rows[0]?.oldest);
  } catch (error) {
    environment.log.debug({ err: error }, 'the primary does not say which WAL is still needed');
    return false;
  } finally {
    await session.close();
  }
}

/**
 * A physical slot is advanced no further than to what is flushed, or replayed (slotfuncs.c, pg_replication_slot_advance),
 * and never while a walsender holds it, which does that itself.
 */
const ADVANCE = `
select pg_replication_slot_advance(slot_name, $2::pg_lsn) from pg_replication_slots
where slot_name = $1 and not active and restart_lsn < $2::pg_lsn and wal_status is distinct from 'lost'
  and restart_lsn <= (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end)`;

/**
 * Whoever may become the primary keeps what is not archived yet, and no more. On another timeline than the archive's the
 * same position may be of other WAL, which is not archived.
 */
export async function releaseArchived({ member }: MemberRunner, archived: WalPosition | null): Promise<void> {
  const { observation, orders } = member;
  if (archived === null || observation === null || observation.timeline !== archived.timeline) return;
  if (!('slots' in orders.goal) || orders.goal.slots?.includes(ARCHIVE_SLOT) !== true) return;
  await member.sql().query(ADVANCE, [ARCHIVE_SLOT, archived.lsn]);
}
