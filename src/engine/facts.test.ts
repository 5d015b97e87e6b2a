/** What is read from the kernel's and PostgreSQL's small text files. */
import { expect, test } from 'vitest';
import { ownCgroup, unifiedMount } from './cgroup.ts';
import { parsePidFile } from './pidfile.ts';
import { maySearch, mountPoints } from './reach.ts';

test('cgroup v2 is found alone and beside version 1', () => {
  expect(unifiedMount('cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n')).toBe('/sys/fs/cgroup');
  expect(unifiedMount('cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n')).toBe('/sys/fs/cgroup/unified');
  expect(unifiedMount('proc /proc proc rw 0 0\n')).toBeNull();
  expect(ownCgroup('9:name=systemd:/x\n0::/user.slice/user-1000.slice\n')).toBe('/user.slice/user-1000.slice');
});

test('mount points keep their spaces', () => {
  expect(mountPoints('36 35 98:0 /a /mnt/two\\040words rw,noatime - ext4 /dev/x rw\n')).toEqual(['/mnt/two words']);
});

test.each([
  [{ uid: 0, gid: 0, mode: 0o40700 }, false],
  [{ uid: 0, gid: 0, mode: 0o40711 }, true],
  [{ uid: 0, gid: 104, mode: 0o40710 }, true],
  [{ uid: 0, gid: 104, mode: 0o40701 }, false],
  [{ uid: 101, gid: 0, mode: 0o40700 }, true],
  [{ uid: 101, gid: 104, mode: 0o40011 }, false],
])('search permission of %j', (folder, expected) => {
  expect(maySearch(folder, { name: 'postgres', uid: 101, gid: 104 })).toBe(expected);
});

test('postmaster.pid grows while the server starts', () => {
  expect(parsePidFile('')).toBeNull();
  expect(parsePidFile('-12\n/d\n')).toBeNull();
  expect(parsePidFile('12\n/d\n1700000000\n5432\n')).toMatchObject({ pid: 12, dataDir: '/d', port: 5432, socketDir: '', status: null });
  expect(parsePidFile('12\n/d\n1700000000\n5432\n/s\n127.0.0.1\n  5432001         3\nstandby \n')).toEqual({
    pid: 12, dataDir: '/d', startTime: 1_700_000_000, port: 5432, socketDir: '/s', listen: '127.0.0.1', status: 'standby',
  });
});
