import { expect, test } from 'vitest';
import { Acknowledgements } from './acknowledgements.ts';

function of(...list: [id: number, at: number, openedAt?: number][]): Acknowledgements {
  const acks = new Acknowledgements();
  for (const [id, at, openedAt = 0] of list) acks.add({ id, at, openedAt });
  return acks;
}

test('what was acknowledged and is not there is missing, and nothing else', () => {
  const acks = of([1, 10], [4, 20], [2, 30]);
  expect(acks.missing(new Set([1, 3]))).toEqual([2, 4]);
  expect(acks.missing(new Set([1, 2, 3, 4]))).toEqual([]);
  expect(acks.missing(new Set([1, 3]), 2), 'what came after the look does not count').toEqual([4]);
  expect(acks.count).toBe(3);
});

test('the longest gap lies between two neighbours, within the limits', () => {
  const acks = of([1, 0], [2, 10], [3, 110], [4, 115]);
  expect(acks.longestGap()).toEqual({ ms: 100, at: 10 });
  expect(acks.longestGap(110)).toEqual({ ms: 5, at: 110 });
  expect(acks.longestGap(0, 10)).toEqual({ ms: 10, at: 0 });
  expect(of([1, 5]).longestGap().ms).toBe(0);
});

test('an answer of a dying server does not count as the new primary', () => {
  const acks = of([1, 10, 0], [2, 105, 0], [3, 400, 350]);
  expect(acks.firstOnNewConnection(100)?.id).toBe(3);
  expect(acks.firstOnNewConnection(400)).toBeNull();
});

test('the rate counts what lies in the span', () => {
  expect(of([1, 0], [2, 500], [3, 999], [4, 1000]).rate(0, 1000)).toBe(3);
  expect(of([1, 0]).rate(5, 5)).toBe(0);
});
