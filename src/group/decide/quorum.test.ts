import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { acknowledgementsOf, mayElect, synchronousNames } from './quorum.ts';

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i + 1}`);

describe('a quorum', () => {
  it('has names that carry the term', () => {
    expect(synchronousNames(['n1', 'n3', 'n2'], 'n1', 7)).toBe('ANY 1 ("n2@7", "n3@7")');
    expect(synchronousNames(names(5), 'n2', 1)).toBe('ANY 2 ("n1@1", "n3@1", "n4@1", "n5@1")');
    expect(synchronousNames(['n1'], 'n1', 1)).toBe('');
    expect(synchronousNames([], 'n1', 1)).toBe('');
  });

  it('that may elect has every commit that was acknowledged, and leaves too few to acknowledge another', () => {
    const cases = fc.integer({ min: 1, max: 7 }).chain((count) => fc.record({
      voters: fc.constant(names(count)), primary: fc.constantFrom(...names(count)),
      promised: fc.subarray(names(count)), acknowledged: fc.shuffledSubarray(names(count), { minLength: count }),
    }));
    fc.assert(fc.property(cases, ({ voters, primary, promised, acknowledged }) => {
      fc.pre(mayElect(voters, [primary], promised));
      const needed = acknowledgementsOf(voters.length);
      const holders = [primary, ...acknowledged.filter((name) => name !== primary).slice(0, needed)];
      expect(holders.some((name) => promised.includes(name))).toBe(true);
      const left = voters.filter((name) => name !== primary && !promised.includes(name));
      expect(promised.includes(primary) || left.length < needed || needed === 0).toBe(true);
    }));
  });
});
