import { expect, test } from 'vitest';
import { max, median, ratio, seconds, significant } from './stats.ts';

test('the median is the middle, whatever the order', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([10, 9])).toBe(9.5);
  expect(median([])).toBeNull();
  expect(max([1, 5, 2])).toBe(5);
  expect(max([])).toBeNull();
});

test('the median leaves its input as it was', () => {
  const values = [3, 1, 2];
  median(values);
  expect(values).toEqual([3, 1, 2]);
});

test('ratios and digits', () => {
  expect(ratio(55, 4.6)).toBe(12);
  expect(ratio(1, 0)).toBeNull();
  expect(ratio(null, 2)).toBeNull();
  expect(significant(0.012345)).toBe(0.0123);
  expect(significant(null)).toBeNull();
  expect(seconds(1234.6)).toBe(1.235);
});
