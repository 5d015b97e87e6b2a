import { describe, expect, it } from 'vitest';
import { same } from './same.ts';

describe('what says the same', () => {
  it.each<[unknown, unknown, boolean]>([
    [1, 1, true], [1, 2, false], ['a', 'a', true], [null, null, true], [null, {}, false], [{}, null, false], [undefined, null, false], ['1', 1, false],
    [[1, [2]], [1, [2]], true], [[1, 2], [1], false], [[], {}, false], [{}, [], false],
    [{ a: 1, b: { c: [] } }, { b: { c: [] }, a: 1 }, true], [{ a: 1 }, { a: 1, b: 2 }, false], [{ a: 1, b: 2 }, { a: 1 }, false], [{ a: 1 }, { b: 1 }, false],
    [{ a: { b: 1 } }, { a: { b: 2 } }, false], [{ a: undefined }, { b: undefined }, false],
  ])('%j and %j: %s', (a, b, expected) => {
    expect(same(a, b)).toBe(expected);
  });
});
