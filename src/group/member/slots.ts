/** pgorbit's physical slots on a member: the wanted ones exist, no other does. */
import type { SqlSession } from '../../engine/sql.ts';

/**
 * A slot that a departed member's walsender still holds is taken from it: left alone it would pin WAL for ever.
 * Slots of other names are somebody else's, and stay.
 */
export async function syncSlots(sql: SqlSession, wanted: readonly string[]): Promise<void> {
  const present = await sql.query<{ name: string; pid: number | null }>(
    "select slot_name as name, active_pid as pid from pg_replication_slots where slot_type = 'physical' and slot_name like 'pgorbit\\_%'",
  );
  for (const slot of present) {
    if (wanted.includes(slot.name)) continue;
    if (slot.pid !== null) await sql.query('select pg_terminate_backend($1, 2000)', [slot.pid]);
    await sql.query('select pg_drop_replication_slot($1)', [slot.name]);
  }
  for (const name of wanted) {
    if (!present.some((slot) => slot.name === name)) await makeSlot(sql, name);
  }
}

/** Reserves WAL from now on, so that nothing between the clone and the first connection is lost. Idempotent. */
export async function makeSlot(sql: SqlSession, name: string): Promise<void> {
  await sql.query(
    'select pg_create_physical_replication_slot($1, true) where not exists (select 1 from pg_replication_slots where slot_name = $1)',
    [name],
  );
}

export function sameSlots(present: readonly string[], wanted: readonly string[]): boolean {
  return present.length === wanted.length && wanted.every((name) => present.includes(name));
}
