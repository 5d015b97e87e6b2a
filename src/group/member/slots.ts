/** pgorbit's physical slots on a member: the wanted ones exist, no other does. */
import { errnoOf } from '../../errors.ts';
import { sleep } from '../../lifecycle.ts';
import type { SqlSession } from '../../engine/sql.ts';
import { ReplicationClient, UpstreamError } from '../../wire/client.ts';
import type { Account, Endpoint } from '../model.ts';

/**
 * On a standby: a logical slot from its time as a primary, in whose place PostgreSQL's slot synchronisation wants to put a
 * copy of the present primary's, and can't ("Logical Replication Failover"). Its columns came with 17, hence the detour.
 */
export const LEFT_OVER_SLOT = "(pg_is_in_recovery() and slot_type = 'logical' and to_jsonb(s) ->> 'failover' = 'true' and to_jsonb(s) ->> 'synced' = 'false')";

/**
 * A slot that a departed member's walsender still holds is taken from it: left alone it would pin WAL for ever.
 * That of a base backup under way is temporary, and goes by itself.
 * A slot that lost its WAL (max_slot_wal_keep_size) can't be used again, and is made anew. Slots of other names are
 * somebody else's, and stay.
 */
export async function syncSlots(sql: SqlSession, wanted: readonly string[]): Promise<void> {
  const present = await sql.query<{ name: string; lost: boolean }>(
    `select slot_name as name, wal_status is not distinct from 'lost' as lost from pg_replication_slots s where (slot_type = 'physical' and slot_name like 'pgorbit\\_%' and not temporary) or ${LEFT_OVER_SLOT}`,
  );
  for (const slot of present) if (slot.lost || !wanted.includes(slot.name)) await dropSlot(sql, slot.name);
  for (const name of wanted) await makeSlot(sql, name);
}

/** SQLSTATE object_in_use. */
const IN_USE = '55006';
const DROP_ATTEMPTS = 20;
const DROP_REST_MS = 100;

/** A member that is about to stop may connect again between the end of its walsender and the drop. */
async function dropSlot(sql: SqlSession, name: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    await sql.query('select pg_terminate_backend(active_pid, 2000) from pg_replication_slots where slot_name = $1 and active_pid is not null', [name]);
    try {
      await sql.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [name]);
      return;
    } catch (error) {
      if (errnoOf(error) !== IN_USE || attempt === DROP_ATTEMPTS) throw error;
      await sleep(DROP_REST_MS);
    }
  }
}

/** SQLSTATE duplicate_object. */
const DUPLICATE = '42710';

/**
 * Reserves WAL from now on, so that nothing between the clone and the first connection is lost. A slot that is there
 * already stays: the primary's agent and the member's own may both make it.
 */
export async function makeSlot(sql: SqlSession, name: string): Promise<void> {
  try {
    await sql.query('select pg_create_physical_replication_slot($1, true)', [name]);
  } catch (error) {
    if (errnoOf(error) !== DUPLICATE) throw error;
  }
}

const CONNECT_MS = 5_000;

/** As makeSlot, on a logger, which speaks the replication protocol alone. */
export async function makeLoggerSlot(logger: Endpoint, name: string, { user, password }: Account): Promise<void> {
  const client = await ReplicationClient.connect({ host: logger.address, port: logger.port, user, password, applicationName: 'pgorbit', timeoutMs: CONNECT_MS });
  try {
    await client.command(`CREATE_REPLICATION_SLOT "${name}" PHYSICAL ( RESERVE_WAL )`);
  } catch (error) {
    if (!(error instanceof UpstreamError) || error.state !== DUPLICATE) throw error;
  } finally {
    client.destroy();
  }
}

export function sameSlots(present: readonly string[], wanted: readonly string[]): boolean {
  return present.length === wanted.length && wanted.every((name) => present.includes(name));
}
