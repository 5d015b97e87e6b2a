/** What PostgreSQL prints when it does not start, as an error that says what to do. */
import type { ErrorCode, ErrorReport } from '../errors.ts';

interface Explanation {
  /** In the server's own words; its first group, if any, goes into the message at `%`. */
  pattern: RegExp;
  code: ErrorCode;
  message: string;
  hint: string;
}

/** The first that fits is taken: causes before the consequences that are logged after them. */
const EXPLANATIONS: readonly Explanation[] = [
  // The socket layer says both lines; the second one names the port.
  { pattern: /Address already in use[\s\S]*?on port (\d+)/, code: 'port-in-use', message: 'Port % is in use by another program.', hint: 'Stop that program (`ss -ltnp` names it), or give the member another port.' },
  { pattern: /Address already in use/, code: 'port-in-use', message: 'The port is in use by another program.', hint: 'Stop that program (`ss -ltnp` names it), or give the member another port.' },
  { pattern: /Cannot assign requested address/, code: 'host-unreachable', message: 'This machine does not have the address that PostgreSQL is to listen on.', hint: 'Correct the host\'s address in the manifest.' },
  { pattern: /lock file "postmaster\.pid" already exists[\s\S]*?\(PID (\d+)\)/, code: 'locked', message: 'Another server (process %) already runs in this data directory.', hint: 'Let pgorbit adopt it, or stop it first.' },
  { pattern: /pre-existing shared memory block .* is still in use/, code: 'locked', message: 'Processes of an earlier server still run in this data directory.', hint: 'Fence the member: pgorbit kills what is left of it.' },
  { pattern: /lock file "([^"]*\.s\.PGSQL[^"]*)" already exists/, code: 'port-in-use', message: 'Another server holds the socket %.', hint: 'Stop it, or give the member another port.' },
  // Memory before space: /dev/shm says "No space left on device" too.
  { pattern: /could not (?:resize|create|open) shared memory segment "[^"]*"[^\n]*No space left on device/, code: 'shared-memory', message: 'There is too little room in /dev/shm.', hint: 'Make /dev/shm larger (docker: --shm-size), or set dynamic_shared_memory_type = mmap.' },
  { pattern: /could not (?:create shared memory segment|map anonymous shared memory|create semaphores)/, code: 'shared-memory', message: 'The kernel did not give PostgreSQL the shared memory or semaphores that it asked for.', hint: 'Lower shared_buffers or max_connections, or raise the limits of the machine or container.' },
  { pattern: /No space left on device/, code: 'volume-full', message: 'The file system of the data directory is full.', hint: 'Free space on it; PostgreSQL starts again after that.' },
  { pattern: /initialized by PostgreSQL version (\d+)/, code: 'postgres-failed', message: 'The data directory was made by PostgreSQL %, another major version than the one that was started.', hint: 'Set engine.version to that version, or upgrade with pg_upgrade.' },
  { pattern: /database files are incompatible with server/, code: 'postgres-failed', message: 'The data directory was made by a PostgreSQL with other build options or of another version.', hint: 'Start it with the PostgreSQL that made it.' },
  { pattern: /data directory "([^"]*)" has (?:invalid permissions|wrong ownership)/, code: 'permission', message: 'The data directory % has the wrong owner or permissions.', hint: 'It must belong to the user that runs PostgreSQL, with mode 0700 or 0750.' },
  { pattern: /"root" execution of the PostgreSQL server is not permitted/, code: 'permission', message: 'PostgreSQL refuses to run as root.', hint: 'useradd --system --no-create-home postgres' },
  { pattern: /error while loading shared libraries: ([^:\n]+)/, code: 'engine-failed', message: 'The PostgreSQL programs lack the library %.', hint: 'Install the package that holds it, or reinstall PostgreSQL.' },
  { pattern: /could not (?:access file|load library) "([^"]+)"/, code: 'engine-failed', message: 'PostgreSQL cannot load the library %.', hint: 'Install the extension on this host, or take it out of shared_preload_libraries.' },
  { pattern: /unrecognized configuration parameter "([^"]+)"/, code: 'setting-refused', message: 'PostgreSQL does not know the setting %.', hint: 'Correct "settings" in the manifest.' },
  { pattern: /(?:invalid value for parameter "([^"]+)"|parameter "[^"]+" requires)/, code: 'setting-refused', message: 'PostgreSQL refuses the value of the setting %.', hint: 'Correct "settings" in the manifest.' },
  { pattern: /recovery aborted because of insufficient parameter settings|hot standby is not possible because of insufficient parameter settings/, code: 'setting-refused', message: 'A setting of this replica is lower than the primary\'s, and replay cannot go on.', hint: 'Raise max_connections, max_worker_processes, max_wal_senders, max_prepared_transactions and max_locks_per_transaction here first, on the primary last.' },
  { pattern: /configuration file "([^"]+)" contains errors|syntax error in file "([^"]+)"/, code: 'setting-refused', message: 'The configuration file % contains errors.', hint: 'Correct it; the log names the line.' },
  { pattern: /could not load "?\S*pg_hba\.conf/, code: 'postgres-failed', message: 'pg_hba.conf contains errors.', hint: 'The log names the line.' },
  { pattern: /could not locate (?:a valid|required) checkpoint record|invalid (?:primary )?checkpoint record/, code: 'wal-invalid', message: 'The WAL that recovery must start from is missing or damaged.', hint: 'Rebuild this member from another one.' },
  { pattern: /requested timeline \d+ (?:is not a child of|does not contain)/, code: 'wal-invalid', message: 'This data directory has gone its own way: its WAL is not part of the history it is to follow.', hint: 'Rebuild this member from the primary.' },
  { pattern: /(?:incorrect checksum in control file|control file contains invalid)/, code: 'postgres-failed', message: 'The control file of the data directory is damaged.', hint: 'Rebuild this member from another one.' },
  { pattern: /"([^"]+)"[^\n]*: Permission denied/, code: 'permission', message: 'PostgreSQL\'s user may not use %.', hint: 'Give it to the user that runs PostgreSQL, or open the folders above it.' },
  { pattern: /Permission denied/, code: 'permission', message: 'PostgreSQL\'s user may not read its programs or files.', hint: 'Open the folders above them for the user that runs PostgreSQL.' },
];

/** The cause of a failed start in the last part of the server's log. Never throws: what is not known is quoted. */
export function explainStartFailure(logTail: string): ErrorReport {
  for (const { pattern, code, message, hint } of EXPLANATIONS) {
    const match = pattern.exec(logTail);
    if (match !== null) return { code, message: message.replace('%', () => match[1] ?? match[2] ?? ''), hint };
  }
  const lines = logTail.split('\n').filter((line) => line.trim() !== '');
  const last = lines.findLast((line) => /(FATAL|PANIC|ERROR):/.test(line)) ?? lines.at(-1);
  return {
    code: 'postgres-failed',
    message: last === undefined ? 'PostgreSQL ended at once and said nothing.' : `PostgreSQL did not start: ${last.replace(/^.*?(FATAL|PANIC|ERROR):\s*/, '')}`,
    hint: 'Its log has the rest.',
  };
}
