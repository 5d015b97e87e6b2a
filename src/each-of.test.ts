import { expect, it } from 'vitest';
import { eachOf } from './each-of.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('works on all, and on no more at a time than it may', async () => {
  const done: number[] = [];
  let running = 0;
  let most = 0;
  await eachOf([1, 2, 3, 4, 5], 2, async (item) => {
    most = Math.max(most, ++running);
    await turn();
    running--;
    done.push(item);
  });
  expect(done).toEqual([1, 2, 3, 4, 5]);
  expect(most).toBe(2);
});

it('begins nothing after an error, tells who is under way, and throws the first one when they have ended', async () => {
  const first = new Error('first');
  const begun: number[] = [];
  let told: unknown = null;
  let ended = false;
  const all = eachOf([1, 2, 3], 2, async (item, failed) => {
    begun.push(item);
    if (item === 1) throw first;
    await turn();
    told = failed.reason;
    await turn();
    ended = true;
    throw new Error('second');
  });
  expect(await all.catch((error: unknown) => error)).toBe(first);
  expect({ begun, ended }).toEqual({ begun: [1, 2], ended: true });
  expect(told).toBe(first);
});
