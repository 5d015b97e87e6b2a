import { expect, test } from 'vitest';
import { explainStartFailure } from './explain.ts';

// What PostgreSQL 15 to 18 print, word for word.
test.each([
  ['LOG:  could not bind IPv4 address "127.0.0.1": Address already in use\nHINT:  Is another postmaster already running on port 5433? If not, wait a few seconds and retry.\nWARNING:  could not create listen socket for "127.0.0.1"\nFATAL:  could not create any TCP/IP sockets', 'port-in-use', '5433'],
  ['FATAL:  lock file "postmaster.pid" already exists\nHINT:  Is another postmaster (PID 4711) running in data directory "/d"?', 'locked', '4711'],
  ['FATAL:  pre-existing shared memory block (key 5432001, ID 3) is still in use\nHINT:  Terminate any old server processes associated with data directory "/d".', 'locked', 'earlier'],
  ['FATAL:  lock file "/s/.s.PGSQL.5432.lock" already exists\nHINT:  Is another postmaster (PID 7) using socket file "/s/.s.PGSQL.5432"?', 'port-in-use', '/s/.s.PGSQL.5432.lock'],
  ['FATAL:  could not resize shared memory segment "/PostgreSQL.123" to 1048576 bytes: No space left on device', 'shared-memory', '/dev/shm'],
  ['FATAL:  could not map anonymous shared memory: Cannot allocate memory\nHINT:  This error usually means ...', 'shared-memory', 'kernel'],
  ['FATAL:  could not create semaphores: No space left on device\nDETAIL:  Failed system call was semget(1, 17, 03600).', 'shared-memory', 'semaphores'],
  ['PANIC:  could not write to file "pg_wal/xlogtemp.5": No space left on device', 'volume-full', 'full'],
  ['FATAL:  database files are incompatible with server\nDETAIL:  The data directory was initialized by PostgreSQL version 15, which is not compatible with this version 18.4.', 'postgres-failed', '15'],
  ['FATAL:  data directory "/d" has invalid permissions\nDETAIL:  Permissions should be u=rwx (0700) or u=rwx,g=rx (0750).', 'permission', '/d'],
  ['FATAL:  could not open file "/d/global/pg_filenode.map": Permission denied', 'permission', '/d/global/pg_filenode.map'],
  ['"root" execution of the PostgreSQL server is not permitted.', 'permission', 'root'],
  ['postgres: error while loading shared libraries: libicuuc.so.60: cannot open shared object file: No such file or directory', 'engine-failed', 'libicuuc.so.60'],
  ['FATAL:  could not access file "citus": No such file or directory', 'engine-failed', 'citus'],
  ['LOG:  unrecognized configuration parameter "worc_mem" in file "/d/pgorbit.conf" line 3\nFATAL:  configuration file "/d/postgresql.conf" contains errors', 'setting-refused', 'worc_mem'],
  ['LOG:  invalid value for parameter "work_mem": "lots"\nFATAL:  configuration file "/d/postgresql.conf" contains errors', 'setting-refused', 'work_mem'],
  ['LOG:  syntax error in file "/d/postgresql.conf" line 3, near token "="\nFATAL:  configuration file "/d/postgresql.conf" contains errors', 'setting-refused', '/d/postgresql.conf'],
  ['FATAL:  recovery aborted because of insufficient parameter settings\nDETAIL:  max_connections = 20 is a lower setting than on the primary server, where its value was 100.', 'setting-refused', 'primary'],
  ['FATAL:  could not locate required checkpoint record at 0/2000028', 'wal-invalid', 'WAL'],
  ['FATAL:  requested timeline 2 is not a child of this server\'s history', 'wal-invalid', 'history'],
  ['FATAL:  could not load /d/pg_hba.conf', 'postgres-failed', 'pg_hba.conf'],
  ['2026-01-01 00:00:00 UTC [1] LOG:  starting\n2026-01-01 00:00:00 UTC [1] FATAL:  something new\n2026-01-01 00:00:00 UTC [1] LOG:  database system is shut down', 'postgres-failed', 'something new'],
  ['', 'postgres-failed', 'nothing'],
])('%s', (log, code, inMessage) => {
  const report = explainStartFailure(log);
  expect(report.code).toBe(code);
  expect(report.message).toContain(inMessage);
  expect(report.message).not.toContain('%');
  expect(report.hint).not.toBe('');
});
