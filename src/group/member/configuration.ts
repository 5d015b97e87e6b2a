/** A member's settings: pgorbit's defaults, the volume's, the manifest's, and what its goal asks for. Pure. */
import { renderConfig } from '../../engine/config.ts';
import type { ControlData } from '../../engine/control.ts';
import { DEFAULT_SETTINGS, volumeSettings } from '../../engine/settings.ts';
import type { Account, DriverName, Endpoint, Goal } from '../model.ts';

export interface ConfigurationInput {
  major: number;
  member: string;
  driver: DriverName;
  /** The manifest's. */
  settings: Record<string, string>;
  goal: Goal;
  replication: Account;
  restoreCommand: string;
  /** A majority acknowledges commits in this group. */
  quorum: boolean;
  /** The slots of those who may be elected, whoever has them. */
  electable: readonly string[];
  /** A standby's pg_control: settings that may not be lower than the primary's were. Null for a primary. */
  limits: ControlData['limits'] | null;
}

/**
 * A standby with less than the primary's limits does not start ("Hot Standby", Administrator's Overview): a lowered
 * value waits on the standby until the primary's WAL has told of it.
 */
export const LIMITS: readonly [name: string, key: keyof ControlData['limits'], standard: string][] = [
  ['max_connections', 'maxConnections', '100'],
  ['max_worker_processes', 'maxWorkerProcesses', '8'],
  ['max_wal_senders', 'maxWalSenders', '16'],
  ['max_prepared_transactions', 'maxPreparedTransactions', '0'],
  ['max_locks_per_transaction', 'maxLocksPerTransaction', '64'],
];

/** For a member that is to accept no writes: should a promotion that was given up complete all the same, nothing is acknowledged. */
export const NOBODY = 'ANY 1 ("nobody@0")';

/** The text of pgorbit.conf. */
export function configurationOf(input: ConfigurationInput): string {
  const { goal } = input;
  const own: Record<string, string> = { ...DEFAULT_SETTINGS(input.major), ...volumeSettings(input.driver) };
  for (const name of Object.keys(own)) if (own[name] === '') delete own[name];
  own['cluster_name'] = input.member;
  own['restore_command'] = input.restoreCommand;
  own['recovery_target_timeline'] = 'latest';
  const names = 'synchronousNames' in goal ? goal.synchronousNames : undefined;
  own['synchronous_standby_names'] = names ?? (input.quorum && goal.kind !== 'create' ? NOBODY : '');
  if (goal.kind === 'follow') {
    own['primary_conninfo'] = conninfo(goal.upstream, goal.name, input.replication, keepsLogicalSlots(input));
    if (goal.slot !== '') own['primary_slot_name'] = goal.slot;
  }
  if (keepsLogicalSlots(input)) {
    own['sync_replication_slots'] = 'on';
    // No subscriber gets ahead of those who may be the next primary.
    const awaited = 'slots' in goal ? (goal.slots ?? []).filter((slot) => input.electable.includes(slot)) : [];
    own['synchronized_standby_slots'] = awaited.join(', ');
  }
  const user = { ...input.settings };
  if (goal.kind === 'promote' || (goal.kind === 'follow' && names !== undefined)) {
    // What waits for the new primary must not wait for a reader's query on it.
    for (const name of ['max_standby_archive_delay', 'max_standby_streaming_delay']) user[name] = '0';
  }
  for (const [name, key, standard] of LIMITS) {
    const wanted = user[name] ?? own[name] ?? standard;
    if (input.limits !== null && Number(wanted) < input.limits[key]) user[name] = String(input.limits[key]);
  }
  return renderConfig({ own, user });
}

/**
 * Logical slots made with `failover = true` are copied to the standbys ("Logical Replication Failover" in PostgreSQL's
 * manual): from 17 on, and only where the manifest asks for logical WAL.
 */
const keepsLogicalSlots = (input: ConfigurationInput): boolean => input.major >= 17 && input.settings['wal_level']?.toLowerCase() === 'logical';

/** A libpq connection string ("Connection Strings"): the application name is how the primary knows member and term. */
function conninfo(upstream: Endpoint, name: string, account: Account, logical: boolean): string {
  const parts = {
    host: upstream.address,
    port: String(upstream.port),
    user: account.user,
    password: account.password,
    application_name: name,
    // The copying of logical slots needs a database to ask in.
    ...(logical ? { dbname: 'postgres' } : {}),
    connect_timeout: '2',
    // A peer that is gone without a word is noticed within seconds.
    keepalives_idle: '2',
    keepalives_interval: '1',
    keepalives_count: '3',
  };
  return Object.entries(parts).map(([key, value]) => `${key}='${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`).join(' ');
}
