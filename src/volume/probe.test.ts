import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { chooseDriver, decideDriver } from './probe.ts';
import { testFolder } from './testing/folder.ts';

const ext4 = { fileSystem: 'ext4', btrfs: 'it is not btrfs', reflink: 'a file cannot be cloned there' };
const xfs = { fileSystem: 'xfs', btrfs: 'it is not btrfs', reflink: null };
const btrfs = { fileSystem: 'btrfs', btrfs: null, reflink: null };
const btrfsWithoutProgram = { ...btrfs, btrfs: 'the btrfs program is missing (apt install btrfs-progs)' };

test('the best that works is chosen, and says why', () => {
  expect(decideDriver('/v', 'auto', btrfs)).toEqual({ driver: 'btrfs', why: 'the folder is on btrfs and snapshots work there' });
  expect(decideDriver('/v', 'auto', xfs)).toEqual({ driver: 'reflink', why: 'files can be cloned on this xfs' });
  expect(decideDriver('/v', 'auto', btrfsWithoutProgram).why).toMatch(/snapshots do not: the btrfs program is missing/);
  expect(decideDriver('/v', 'auto', ext4).driver).toBe('copy');
});

test('a demanded driver is that or an error that says what the folder is and what would work', () => {
  expect(decideDriver('/v', 'copy', btrfs).driver).toBe('copy');
  expect(decideDriver('/v', 'reflink', btrfs).driver).toBe('reflink');
  expect(() => decideDriver('/v', 'reflink', ext4)).toThrow(expect.objectContaining({ code: 'no-clone-support', message: expect.stringContaining('/v, which is ext4') as string, hint: expect.stringContaining('pgorbit volume create') as string }) as Error);
  expect(() => decideDriver('/v', 'btrfs', xfs)).toThrow(expect.objectContaining({ hint: expect.stringContaining('driver: reflink') as string }) as Error);
});

test('probing leaves nothing behind', async () => {
  const dir = await testFolder();
  const choice = await chooseDriver(dir, 'auto');
  expect(['btrfs', 'reflink', 'copy']).toContain(choice.driver);
  expect(await readdir(dir)).toEqual([]);
});
