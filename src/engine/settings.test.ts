import { expect, test } from 'vitest';
import { checkSetting, DEFAULT_SETTINGS, isProtected, volumeSettings } from './settings.ts';

test.each([
  ['fsync', 'off'], ['fsync', 'False'], ['full_page_writes', '0'], ['wal_level', 'minimal'], ['hot_standby', 'no'], ['max_wal_senders', '0'],
  ['port', '5432'], ['listen_addresses', '*'], ['data_directory', '/d'], ['primary_conninfo', 'host=x'], ['restore_command', 'cp'],
  ['synchronous_standby_names', '*'], ['cluster_name', 'x'], ['recovery_target', 'immediate'], ['recovery_target_lsn', '0/1'], ['include_dir', 'd'],
  ['recovery_min_apply_delay', '1h'], ['password_encryption', 'md5'], ['promote_trigger_file', '/x'],
])('%s = %s is refused with a reason and a way out', (name, value) => {
  const verdict = checkSetting(name, value, 15);
  expect(verdict).toMatchObject({ ok: false, reason: expect.stringMatching(/\w{3}/), instead: expect.stringMatching(/\w/) });
});

test.each([
  ['fsync', 'on'], ['shared_buffers', '256MB'], ['wal_level', 'logical'], ['wal_level', 'replica'], ['max_wal_senders', '32'], ['archive_mode', 'on'],
  ['archive_command', ''], ['pg_stat_statements.max', '1000'], ['ssl', 'on'], ['recovery_prefetch', 'off'], ['recovery_min_apply_delay', '0'],
  ['synchronous_commit', 'off'], ['shared_preload_libraries', ''],
])('%s = %s is left to PostgreSQL', (name, value) => {
  expect(checkSetting(name, value, 18)).toEqual({ ok: true });
});

test.each([['Work_Mem'], ['a b'], ["x'"], ['1a'], ['a..b'], [''], ['a\nport']])('the name %j is refused', (name) => {
  expect(checkSetting(name, '1', 18)).toMatchObject({ ok: false });
});

test('an empty value is refused where it says nothing', () => {
  expect(checkSetting('work_mem', '', 18)).toMatchObject({ ok: false });
});

test('what a version no longer knows is refused for that version only', () => {
  expect(checkSetting('old_snapshot_threshold', '1h', 16)).toEqual({ ok: true });
  expect(checkSetting('old_snapshot_threshold', '1h', 17)).toMatchObject({ ok: false, reason: expect.stringContaining('17') });
});

test('values decide over fsync, the name alone over port', () => {
  expect(isProtected('fsync')).toBe(false);
  expect(isProtected('PORT')).toBe(true);
});

test.each([15, 16, 17, 18])('the defaults pass the checks for PostgreSQL %i, or are protected', (major) => {
  for (const [name, value] of Object.entries({ ...DEFAULT_SETTINGS(major), ...volumeSettings('btrfs') })) {
    expect({ name, ok: isProtected(name) || checkSetting(name, value, major).ok }).toEqual({ name, ok: true });
  }
  expect(volumeSettings('reflink')).toEqual({});
});
