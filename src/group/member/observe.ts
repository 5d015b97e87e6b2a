/** What a running postgres says of itself, in one query a round. */
import { LEFT_OVER_SLOT } from './slots.ts';
import type { SqlSession } from '../../engine/sql.ts';

export interface Observation {
  inRecovery: boolean;
  timeline: number;
  /** A primary's insert position, a standby's replay position. */
  lsn: string | null;
  received: string | null;
  streamingFrom: string | null;
  /** ms since the upstream last said something. */
  heardMs: number | null;
  lagMs: number | null;
  sessions: number;
  systemIdentifier: string;
  /** In force, as the server has it. */
  synchronousNames: string | null;
  /** What each of pgorbit's slots keeps from being recycled, bytes. */
  retained: Record<string, number>;
  followers: { name: string; replay: string | null; flush: string | null; synchronous: boolean }[];
  slots: string[];
  pendingRestart: string[];
}

/** The newest timeline that a server in recovery has WAL of: pg_control names an older one until the next restartpoint. */
export const NEWEST_TIMELINE = `coalesce((select max(('x' || substr(name, 1, 8))::bit(32)::int) from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$'),
                  (select timeline_id from pg_control_checkpoint()))`;

/**
 * Functions of "System Administration Functions" and views of "The Cumulative Statistics System" in PostgreSQL's
 * manual. pg_walfile_name() raises an error in recovery, hence the CASE; pg_control_checkpoint() still names the old
 * timeline between a promotion and its first checkpoint, hence the file name; so does a standby's until its next
 * restartpoint, hence the newest timeline that it has WAL of. What was received is counted from the segment's start again
 * with every connection, hence the greater of that and what was replayed.
 */
const FACTS = `
select r.recovery as "inRecovery",
  case when r.recovery
    then coalesce((select received_tli from pg_stat_wal_receiver where status = 'streaming'),
                  ${NEWEST_TIMELINE})
    else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end as timeline,
  (case when r.recovery then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end)::text as lsn,
  (case when r.recovery then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) end)::text as received,
  (select sender_host || ':' || sender_port from pg_stat_wal_receiver where status = 'streaming') as "streamingFrom",
  (select (extract(epoch from clock_timestamp() - last_msg_receipt_time) * 1000)::float8 from pg_stat_wal_receiver where status = 'streaming') as "heardMs",
  case when r.recovery then
    case when pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn() then 0
         else (extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::int8::float8 end end as "lagMs",
  (select count(*)::int from pg_stat_activity where backend_type = 'client backend' and application_name <> 'pgorbit') as sessions,
  current_setting('synchronous_standby_names') as "synchronousNames",
  (select system_identifier::text from pg_control_system()) as "systemIdentifier",
  (select coalesce(json_agg(json_build_object('name', application_name, 'replay', replay_lsn::text, 'flush', flush_lsn::text,
          'synchronous', sync_state in ('sync', 'quorum')) order by application_name), '[]') from pg_stat_replication where state = 'streaming') as followers,
  (select coalesce(json_object_agg(slot_name, greatest(0, pg_wal_lsn_diff(
          case when r.recovery then coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) else pg_current_wal_lsn() end, restart_lsn)) order by slot_name), '{}')
     from pg_replication_slots where slot_name like 'pgorbit\\_%' and not temporary and restart_lsn is not null) as retained,
  (select coalesce(json_agg(slot_name order by slot_name), '[]') from pg_replication_slots s where (slot_name like 'pgorbit\\_%' and not temporary and wal_status is distinct from 'lost') or ${LEFT_OVER_SLOT}) as slots
from (select pg_is_in_recovery() as recovery) r`;

const OBSERVE_MS = 2_000;

/** @throws what SqlSession throws when the server does not answer within two seconds. */
export async function observe(sql: SqlSession): Promise<Omit<Observation, 'pendingRestart'>> {
  const rows = await sql.query<Omit<Observation, 'pendingRestart'>>(FACTS, [], { timeoutMs: OBSERVE_MS });
  const row = rows[0];
  if (row === undefined) throw new Error('the query of facts returned no row');
  return row;
}

/** Settings whose new value waits for a restart. Reads every setting: ask seldom. */
export async function pendingRestart(sql: SqlSession): Promise<string[]> {
  const rows = await sql.query<{ name: string }>('select name from pg_settings where pending_restart order by name', [], { timeoutMs: OBSERVE_MS });
  return rows.map((row) => row.name);
}
