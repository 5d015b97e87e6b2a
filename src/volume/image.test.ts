import { expect, test } from 'vitest';
import { nonZeroStats } from './check.ts';
import { listsFileSystem } from './facts.ts';
import { hostMargin } from './image.ts';
import { parseImageRecord, type ImageRecord } from './image-record.ts';
import { parseMountInfo } from './loop.ts';

const GIB = 1024 ** 3;

test('mountinfo is read with its optional fields and escapes', () => {
  const text = `36 35 98:0 / /mnt/a\\040b rw,noatime master:1 shared:2 - ext3 /dev/root rw\n22 1 0:5 / /x rw - btrfs /dev/loop3 rw,subvol=/\n\n`;
  expect(parseMountInfo(text)).toEqual([
    { mountPoint: '/mnt/a b', fs: 'ext3', source: '/dev/root' },
    { mountPoint: '/x', fs: 'btrfs', source: '/dev/loop3' },
  ]);
});

test('a record is whole or none', () => {
  const record: ImageRecord = { format: 1, image: '/i', mountPoint: '/m', fs: 'xfs', size: 1, uuid: 'u', state: 'ready', madeMountPoint: true, madeAt: '' };
  expect(parseImageRecord(JSON.stringify(record))).toEqual(record);
  expect(parseImageRecord(JSON.stringify({ ...record, fs: 'ext4' }))).toBeNull();
  expect(parseImageRecord('{')).toBeNull();
  expect(parseImageRecord('null')).toBeNull();
});

test('the host keeps some room', () => {
  expect(hostMargin(4 * GIB)).toBe(GIB / 2);
  expect(hostMargin(40 * GIB)).toBe(2 * GIB);
  expect(hostMargin(4000 * GIB)).toBe(5 * GIB);
});

test('counted device errors are found', () => {
  expect(nonZeroStats('[/dev/loop0].write_io_errs    0\n[/dev/loop0].read_io_errs     12\n')).toEqual(['[/dev/loop0].read_io_errs 12']);
});

test('the kernel’s list of file systems', () => {
  expect(listsFileSystem('nodev\tproc\n\text4\n\tbtrfs\n', 'btrfs')).toBe(true);
  expect(listsFileSystem('nodev\tproc\n\text4\n', 'xfs')).toBe(false);
});
