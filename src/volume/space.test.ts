import { expect, test } from 'vitest';
import { ballastSize, ensureBallast, judgeSpace, readSpace, releaseBallast } from './space.ts';
import { testFolder } from './testing/folder.ts';

const MIB = 1024 * 1024;

test.each([
  [{ total: 1000, free: 500, ballast: 0 }, 'ok'],
  [{ total: 1000, free: 201, ballast: 0 }, 'ok'],
  [{ total: 1000, free: 200, ballast: 0 }, 'warn'],
  [{ total: 1000, free: 101, ballast: 0 }, 'warn'],
  [{ total: 1000, free: 100, ballast: 0 }, 'refuse'],
  [{ total: 1000, free: 31, ballast: 0 }, 'refuse'],
  [{ total: 1000, free: 20, ballast: 10 }, 'critical'],
  [{ total: 1000, free: 95, ballast: 10 }, 'warn'],
  [{ total: 1000, free: 0, ballast: 0 }, 'critical'],
  [{ total: 0, free: 0, ballast: 0 }, 'ok'],
] as const)('%o is %s', (facts, level) => {
  const judged = judgeSpace(facts);
  expect(judged.level).toBe(level);
  expect(judged.sentence === null).toBe(level === 'ok');
});

test('the ballast is a hundredth, within bounds', () => {
  expect(ballastSize(100 * MIB)).toBe(16 * MIB);
  expect(ballastSize(10_000 * MIB)).toBe(100 * MIB);
  expect(ballastSize(10_000_000 * MIB)).toBe(1024 * MIB);
});

test('a ballast is made once, really allocated, and given back', async () => {
  const dir = await testFolder();
  expect(await ensureBallast(dir, 4 * MIB)).toBe(4 * MIB);
  const held = (await readSpace(dir)).ballast;
  expect(held).toBeGreaterThanOrEqual(4 * MIB);
  expect(await ensureBallast(dir, 4 * MIB)).toBe(held);
  expect(await releaseBallast(dir)).toBe(held);
  expect(await releaseBallast(dir)).toBe(0);
  expect((await readSpace(dir)).ballast).toBe(0);
});
