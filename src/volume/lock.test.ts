import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { identify } from '../engine/proc.ts';
import { acquireLock, breakLock, lockOwner, readLock, releaseLock, transferLock, type LockOwner } from './lock.ts';
import { judgeLock, type Surroundings } from './lock-owner.ts';
import { testFolder } from './testing/folder.ts';

const owner = (pid: number, extra: Partial<LockOwner> = {}): LockOwner => ({
  host: 'h1', machine: 'box', pidNamespace: 'pid:[1]', process: { pid, startTime: `${pid}00`, bootId: 'boot' }, term: 3, ...extra,
});
const around = (alive: (pid: number) => boolean): Surroundings => ({
  bootId: 'boot', pidNamespace: 'pid:[1]', oneMachineOnly: true, isAlive: ({ pid }) => alive(pid),
});

test('a living holder keeps others out, and is named', async () => {
  const dir = await testFolder();
  await acquireLock(dir, owner(1), around(() => true));
  await expect(acquireLock(dir, owner(2), around(() => true))).rejects.toMatchObject({
    code: 'locked', message: expect.stringMatching(/process 1 on host h1 \(machine box\), term 3/) as string,
  });
  expect(await readLock(dir)).toEqual(owner(1));
});

test('the same process may take it again for another term', async () => {
  const dir = await testFolder();
  await acquireLock(dir, owner(1), around(() => true));
  await acquireLock(dir, owner(1, { term: 4 }), around(() => true));
  expect((await readLock(dir))?.term).toBe(4);
});

test('of many takers of a stale lock exactly one wins', async () => {
  const dir = await testFolder();
  for (let round = 0; round < 20; round++) {
    const dead = 1000 * round;
    const pids = Array.from({ length: 12 }, (_, i) => dead + 1 + i);
    await acquireLock(dir, owner(dead), around(() => false));
    const here = around((pid) => pid !== dead && pids.includes(pid));
    const outcomes = await Promise.allSettled(pids.map((pid) => acquireLock(dir, owner(pid), here)));
    const winners = pids.filter((_, i) => outcomes[i]!.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    expect((await readLock(dir))?.process.pid).toBe(winners[0]);
    const refusals = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    expect(refusals).toEqual(refusals.map(() => expect.objectContaining({ code: 'locked' }) as unknown));
  }
});

test('never two holders while many take, hand on and release', async () => {
  const dir = await testFolder();
  const here = around(() => true);
  let holders = 0;
  let taken = 0;
  const contend = async (pid: number): Promise<void> => {
    for (let tries = 0; tries < 60; tries++) {
      const got = await acquireLock(dir, owner(pid), here).then(() => true, () => false);
      if (!got) continue;
      taken++;
      expect(++holders).toBe(1);
      const heir = owner(pid + 500);
      await transferLock(dir, owner(pid), heir);
      expect(await releaseLock(dir, owner(pid))).toBe(false);
      holders--;
      expect(await releaseLock(dir, heir)).toBe(true);
    }
  };
  await Promise.all([1, 2, 3, 4, 5, 6].map(contend));
  expect(taken).toBeGreaterThan(0);
  expect(await readLock(dir)).toBeNull();
  expect((await readdir(dir)).length).toBeLessThanOrEqual(3);
});

test('handing on needs the lock', async () => {
  const dir = await testFolder();
  await expect(transferLock(dir, owner(1), owner(2))).rejects.toMatchObject({ code: 'locked' });
  await acquireLock(dir, owner(3), around(() => true));
  await expect(transferLock(dir, owner(1), owner(2))).rejects.toThrow(/process 3/);
  expect(await breakLock(dir, owner(1))).toBe(false);
  expect(await breakLock(dir, owner(3))).toBe(true);
  expect(await readLock(dir)).toBeNull();
});

test('a file that is no lock is never taken for a free one', async () => {
  const dir = await testFolder();
  await writeFile(join(dir, 'lock.5'), '');
  await expect(acquireLock(dir, owner(1), around(() => false))).rejects.toMatchObject({ code: 'state-corrupt' });
});

test('a real process: alive it holds, and a process id that another has now does not', async () => {
  const dir = await testFolder();
  const me = await lockOwner('h1', identify(process.pid)!, 1);
  await acquireLock(dir, me);
  const other = await lockOwner('h2', identify(process.ppid)!, 1);
  await expect(acquireLock(dir, other)).rejects.toMatchObject({ code: 'locked' });
  await releaseLock(dir, me);
  await acquireLock(dir, { ...me, process: { ...me.process, startTime: '1' } });
  await acquireLock(dir, other);
  expect(await readLock(dir)).toEqual(other);
});

test.each([
  ['ours, alive', {}, around(() => true), 'held'],
  ['ours, dead', {}, around(() => false), 'stale'],
  ['another container', { pidNamespace: 'pid:[2]' }, around(() => false), 'held'],
  ['an earlier boot', { process: { pid: 1, startTime: '1', bootId: 'old' } }, around(() => true), 'stale'],
  ['another machine', { process: { pid: 1, startTime: '1', bootId: 'old' } }, { ...around(() => false), oneMachineOnly: false }, 'held'],
] as const)('%s', (_, extra, here, verdict) => {
  expect(judgeLock(owner(1, extra), here)).toBe(verdict);
});
