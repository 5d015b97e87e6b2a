import { array, assert, integer, property, tuple } from 'fast-check';
import { expect, test } from 'vitest';
import { accountRanges } from './ranges.ts';

test('what one owner holds is its own, what two hold is shared once', () => {
  const a = [Float64Array.of(0, 100, 200, 50)];
  const b = [Float64Array.of(50, 100), Float64Array.of(-1, 7)];
  expect(accountRanges([a, b])).toEqual({ exclusive: [100, 57], shared: 50, sharedBy: [50, 50] });
  expect(accountRanges([])).toEqual({ exclusive: [], shared: 0, sharedBy: [] });
});

test('agrees with counting every byte', () => {
  const range = tuple(integer({ min: 0, max: 60 }), integer({ min: 1, max: 20 }));
  const owner = array(array(range, { maxLength: 5 }), { maxLength: 3 });
  assert(
    property(array(owner, { minLength: 1, maxLength: 4 }), (owners) => {
      const bytes = owners.map((files) => new Set(files.flat().flatMap(([start, length]) => Array.from({ length }, (_, i) => start + i))));
      const holders = (byte: number): number => bytes.filter((set) => set.has(byte)).length;
      const account = accountRanges(owners.map((files) => files.map((ranges) => Float64Array.from(ranges.flat()))));
      expect(account.exclusive).toEqual(bytes.map((set) => [...set].filter((byte) => holders(byte) === 1).length));
      expect(account.sharedBy).toEqual(bytes.map((set) => [...set].filter((byte) => holders(byte) > 1).length));
      expect(account.shared).toBe(Array.from({ length: 90 }, (_, byte) => byte).filter((byte) => holders(byte) > 1).length);
    }),
  );
});
