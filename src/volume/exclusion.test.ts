import { expect, test } from 'vitest';
import { isExcluded, isOwnEntry } from './exclusion.ts';

const none = new Set<string>();

test.each([
  'postmaster.pid', 'postmaster.opts', 'backup_label', 'tablespace_map', 'postgresql.auto.conf.tmp',
  'pg_replslot/n2', 'pg_notify/0000', 'pg_serial/0000', 'pg_snapshots/x', 'pg_subtrans/0000', 'pg_dynshmem/mmap.1',
  'pg_stat_tmp/global.stat', 'base/pgsql_tmp', 'base/pgsql_tmp/pgsql_tmp17.0', 'base/5/pg_internal.init',
  'global/pg_internal.init.17', 'pg_wal/xlogtemp.17', 'base/5/t3_16384', 'base/5/t3_16384_fsm.1', 'pg_stat/pgstat.tmp',
])('%s is left out', (path) => expect(isExcluded(path, none)).toBe(true));

test.each([
  'pg_replslot', 'pg_notify', 'pg_subtrans', 'PG_VERSION', 'postgresql.conf', 'standby.signal', 'global/pg_control',
  'pg_wal/000000010000000000000001', 'pg_wal/archive_status', 'pg_wal/summaries', 'base/5/16384', 'base/5/16384_init',
  'base/5/16384_vm', 'base/5/PG_VERSION', 'pg_xact/0000', 'pg_logical/mappings', 'current_logfiles', 'backup_label.old',
])('%s stays', (path) => expect(isExcluded(path, none)).toBe(false));

test('of an unlogged relation only the init fork stays', () => {
  const siblings = new Set(['16384', '16384.1', '16384_fsm', '16384_init', '16385']);
  const kept = [...siblings].filter((name) => !isExcluded(`base/5/${name}`, siblings));
  expect(kept).toEqual(['16384_init', '16385']);
});

test("the member's own files are not another's", () => {
  for (const name of ['pgorbit.json', 'lock.3', '.lock.17.ab.tmp', 'fenced', '.pgorbit.json.1.a.tmp']) expect(isOwnEntry(name)).toBe(true);
  for (const name of ['data', 'log', 'locksmith']) expect(isOwnEntry(name)).toBe(false);
});
