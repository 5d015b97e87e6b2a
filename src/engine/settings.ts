/**
 * What pgorbit sets for every member, and what it refuses in a manifest. PostgreSQL's documentation, chapter
 * "Server Configuration", has each setting.
 */
import type { DriverName } from '../group/model.ts';

/** What every member gets unless the manifest says otherwise. */
export function DEFAULT_SETTINGS(major: number): Record<string, string> {
  return {
    // Enough for standbys. `logical` costs WAL on every key update: who subscribes to this server sets it.
    wal_level: 'replica',
    hot_standby: 'on',
    // Torn pages are repaired from WAL; file systems that copy on write do not promise whole 8 kB pages either.
    full_page_writes: 'on',
    // Room for replicas, clones, loggers and people's own tools; both need a restart to grow.
    max_wal_senders: '16',
    max_replication_slots: '16',
    // A replica that is re-attached starts a moment after its clone was made: keep what was written in between.
    wal_keep_size: '128MB',
    // A dead replica's slot must not fill the volume: it is rebuilt in seconds instead.
    max_slot_wal_keep_size: '4GB',
    // The default of 5 s makes every promotion and every new upstream wait that long.
    wal_retrieve_retry_interval: '100ms',
    // A dead peer is noticed within the time that a failover may take.
    wal_receiver_timeout: '3s',
    wal_sender_timeout: '5s',
    wal_receiver_status_interval: '1s',
    // Replicas serve reads: vacuum on the primary waits for their snapshots, so that it neither cancels a replica's
    // query nor makes replay wait behind it (which would delay a promotion). The price is bloat while one runs long.
    hot_standby_feedback: 'on',
    password_encryption: 'scram-sha-256',
    log_line_prefix: '%m [%p] %q%u@%d ',
    // The agents ask for the state of every member every second: not worth a line each.
    log_connections: major >= 18 ? '' : 'off',
    log_checkpoints: 'on',
    // One file that `pgorbit logs` reads, whatever the server does.
    logging_collector: 'off',
    log_destination: 'stderr',
  };
}

/** What suits a volume's driver; these add to the defaults. */
export function volumeSettings(driver: DriverName): Record<string, string> {
  // On a file system that copies on write a recycled or zeroed segment is new blocks all the same: filling it twice
  // costs half the throughput and saves nothing. Safe there, as the documentation of both says.
  return driver === 'btrfs' ? { wal_init_zero: 'off', wal_recycle: 'off' } : {};
}

export type SettingVerdict = { ok: true } | { ok: false; reason: string; instead: string };

interface Rule {
  /** The setting, or the beginning of a family's names with a trailing `*`. */
  name: string;
  /** Values that are refused; where it is absent every value is, because the setting is pgorbit's own. */
  values?: (value: string) => boolean;
  reason: string;
  instead: string;
}

const OFF = new Set(['off', 'false', 'no', '0', 'f', 'fa', 'fal', 'fals', 'n', 'of']);
const isOff = (value: string): boolean => OFF.has(value.toLowerCase());

const MEMBERS = 'Set "port" and the host\'s address in the manifest.';
const PGORBIT_DOES = 'Leave it out: pgorbit sets it.';
const RECOVERY = 'Make a cluster of its own from a backup for point-in-time recovery.';

/** One row a setting: what would break, and what to do instead. */
const RULES: readonly Rule[] = [
  // Would lose what was acknowledged.
  { name: 'fsync', values: isOff, reason: 'a crash of the machine would corrupt the data', instead: 'synchronous_commit = off loses only the last moments, never consistency' },
  { name: 'full_page_writes', values: isOff, reason: 'a torn page could not be repaired after a crash, and clones copy pages while they are written', instead: 'wal_compression = on makes them smaller' },
  { name: 'wal_level', values: (value) => value.toLowerCase() === 'minimal', reason: 'replicas need the whole WAL', instead: 'replica or logical' },
  { name: 'zero_damaged_pages', values: (value) => !isOff(value), reason: 'it destroys data silently, on every restart anew', instead: 'SET zero_damaged_pages in the one session that salvages' },
  { name: 'ignore_invalid_pages', values: (value) => !isOff(value), reason: 'recovery would skip WAL that does not apply', instead: 'Rebuild the member.' },
  // Would stop replication or reads on replicas.
  { name: 'hot_standby', values: isOff, reason: 'pgorbit and readers could not connect to replicas', instead: PGORBIT_DOES },
  { name: 'max_wal_senders', values: (value) => Number(value) < 4, reason: 'replicas, and a clone beside them, each need one', instead: '4 or more' },
  { name: 'max_replication_slots', values: (value) => Number(value) < 4, reason: 'every replica has a slot', instead: '4 or more' },
  { name: 'recovery_min_apply_delay', values: (value) => !/^0+(?:ms|s|min|h|d)?$/.test(value), reason: 'a failover would wait that long', instead: 'Use a standby, which no failover waits for.' },
  // Pgorbit's own: where a member listens and where its files lie.
  { name: 'port', reason: 'every member has a port of its own', instead: MEMBERS },
  { name: 'listen_addresses', reason: 'a member listens where the others look for it', instead: MEMBERS },
  { name: 'unix_socket_directories', reason: 'pgorbit connects through a socket of its own', instead: PGORBIT_DOES },
  { name: 'data_directory', reason: 'pgorbit places the data directory', instead: 'Set the volume\'s path in the manifest.' },
  { name: 'config_file', reason: 'pgorbit writes the configuration of every member', instead: 'Use "settings" in the manifest.' },
  { name: 'hba_file', reason: 'pgorbit writes pg_hba.conf of every member', instead: PGORBIT_DOES },
  { name: 'ident_file', reason: 'pgorbit writes the authentication of every member', instead: PGORBIT_DOES },
  { name: 'external_pid_file', reason: 'members on one host would overwrite each other\'s', instead: '"pgorbit status --json" has every pid' },
  { name: 'include*', reason: 'a file that differs between hosts would make members differ', instead: 'Use "settings" in the manifest.' },
  // Pgorbit's own: who follows whom.
  { name: 'primary_conninfo', reason: 'pgorbit decides whom a replica follows', instead: PGORBIT_DOES },
  { name: 'primary_slot_name', reason: 'pgorbit gives every replica its slot', instead: PGORBIT_DOES },
  { name: 'synchronous_standby_names', reason: 'it decides which commits a failover keeps, and changes with every member', instead: 'Set the group\'s "commit" to async or quorum.' },
  { name: 'synchronized_standby_slots', reason: 'it names replicas, which come and go', instead: PGORBIT_DOES },
  { name: 'cluster_name', reason: 'it is the name under which a replica acknowledges commits', instead: PGORBIT_DOES },
  { name: 'restore_command', reason: 'a promotion on a shared volume reads the old primary\'s WAL through it', instead: PGORBIT_DOES },
  { name: 'archive_cleanup_command', reason: 'the WAL that restore_command reads is another member\'s', instead: PGORBIT_DOES },
  { name: 'recovery_end_command', reason: 'pgorbit takes every step of a promotion itself', instead: PGORBIT_DOES },
  { name: 'promote_trigger_file', reason: 'only pgorbit promotes: two primaries would part the data', instead: '"pgorbit switchover" or "pgorbit promote"' },
  { name: 'recovery_target*', reason: 'a replica that stops on the way is no replica', instead: RECOVERY },
  // Pgorbit's own: the log, and staying alive.
  { name: 'logging_collector', reason: 'the log would leave the file that "pgorbit logs" reads', instead: '"pgorbit logs", or let a log shipper read that file' },
  { name: 'log_destination', reason: 'the log would leave the file that "pgorbit logs" reads', instead: '"pgorbit logs", or let a log shipper read that file' },
  { name: 'restart_after_crash', reason: 'pgorbit decides between a restart and a failover', instead: 'Set the group\'s "failover" to automatic or manual.' },
  { name: 'password_encryption', values: (value) => value.toLowerCase() === 'md5', reason: 'members accept SCRAM only', instead: 'scram-sha-256' },
  { name: 'allow_alter_system', values: isOff, reason: 'pgorbit\'s own SQL surface is ALTER SYSTEM', instead: PGORBIT_DOES },
];

const matches = (rule: Rule, name: string): boolean => (rule.name.endsWith('*') ? name.startsWith(rule.name.slice(0, -1)) : rule.name === name);

/** True for a setting that is pgorbit's alone, whatever its value. */
export function isProtected(name: string): boolean {
  const lower = name.toLowerCase();
  return RULES.some((rule) => rule.values === undefined && matches(rule, lower));
}

/** May a manifest set this? `reason` reads on after "because"; `instead` says what to do. PostgreSQL checks the rest. */
export function checkSetting(name: string, value: string, major: number): SettingVerdict {
  if (!/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*$/.test(name)) {
    return { ok: false, reason: 'a name has lower-case letters, digits, underscores and dots only', instead: name.toLowerCase() };
  }
  if (value === '' && !EMPTY_IS_A_VALUE.has(name)) {
    return { ok: false, reason: 'its value is empty', instead: 'Give it a value, or leave it out for the default.' };
  }
  const gone = REMOVED.find((row) => row.name === name && major >= row.in);
  if (gone !== undefined) return { ok: false, reason: `PostgreSQL ${gone.in} removed it`, instead: gone.instead };
  const rule = RULES.find((row) => matches(row, name) && (row.values === undefined || row.values(value)));
  return rule === undefined ? { ok: true } : { ok: false, reason: rule.reason, instead: rule.instead };
}

/** Lists and commands for which the empty string says "none". */
const EMPTY_IS_A_VALUE = new Set([
  'shared_preload_libraries', 'session_preload_libraries', 'local_preload_libraries', 'archive_command', 'archive_library',
  'temp_tablespaces', 'default_tablespace', 'log_connections', 'ssl_ca_file', 'ssl_crl_file', 'ssl_crl_dir', 'log_line_prefix',
]);

/** Settings that a supported version no longer knows: a server that reads one does not start. */
const REMOVED: readonly { name: string; in: number; instead: string }[] = [
  { name: 'stats_temp_directory', in: 15, instead: 'Leave it out: statistics lie in shared memory.' },
  { name: 'vacuum_defer_cleanup_age', in: 16, instead: 'hot_standby_feedback = on' },
  { name: 'promote_trigger_file', in: 16, instead: '"pgorbit promote"' },
  { name: 'force_parallel_mode', in: 16, instead: 'debug_parallel_query' },
  { name: 'old_snapshot_threshold', in: 17, instead: 'idle_in_transaction_session_timeout' },
  { name: 'trace_recovery_messages', in: 17, instead: 'log_min_messages' },
  { name: 'db_user_namespace', in: 17, instead: 'Leave it out.' },
];
