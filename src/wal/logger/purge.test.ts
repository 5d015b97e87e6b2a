import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { segmentName } from '../lsn.ts';
import { type PurgeInput, decidePurge } from './purge.ts';

const MB = 1 << 20;
const HOUR = 3_600_000;

function input(change: Partial<PurgeInput> = {}, count = 20): PurgeInput {
  const segments = Array.from({ length: count }, (_, i) => ({ name: segmentName(1, BigInt(i * MB), MB), timeline: 1, start: BigInt(i * MB), modifiedMs: i * HOUR }));
  return {
    segments, segmentSize: MB, flushed: BigInt(count * MB - 1000), holds: [], holdsKnown: true, nowMs: count * HOUR,
    rules: { enabled: true, keepBytes: 5 * MB, keepMs: 0, maxBytes: 100 * MB }, ...change,
  };
}

describe('purging', () => {
  it('keeps the newest bytes', () => {
    expect(decidePurge(input())).toEqual(input().segments.slice(0, 15).map((s) => s.name));
  });

  it('keeps what is young, up to the limit', () => {
    const rules = { enabled: true, keepBytes: 5 * MB, keepMs: 12 * HOUR, maxBytes: 100 * MB };
    expect(decidePurge(input({ rules }))).toHaveLength(9);
    expect(decidePurge(input({ rules: { ...rules, maxBytes: 10 * MB } }))).toHaveLength(10);
  });

  it('keeps what a member, the archive or a slot needs, whatever the size', () => {
    const rules = { enabled: true, keepBytes: 0, keepMs: 0, maxBytes: 0 };
    expect(decidePurge(input({ rules, holds: [BigInt(4 * MB + 5), BigInt(9 * MB)] }))).toHaveLength(4);
    expect(decidePurge(input({ rules, holds: [0n] }))).toEqual([]);
    expect(decidePurge(input({ rules, holdsKnown: false }))).toEqual([]);
    expect(decidePurge(input({ rules: { ...rules, enabled: false } }))).toEqual([]);
  });

  it('never takes the last segment, even when the WAL ends at its edge', () => {
    const rules = { enabled: true, keepBytes: 0, keepMs: 0, maxBytes: 0 };
    expect(decidePurge(input({ rules, flushed: BigInt(20 * MB) }))).toHaveLength(19);
  });

  it('takes only what comes before every hold, oldest first, without gaps', () => {
    fc.assert(fc.property(fc.array(fc.nat(25 * MB)), fc.nat(25), fc.nat(30), fc.nat(30), (holds, keep, hours, max) => {
      const given = input({ holds: holds.map(BigInt), rules: { enabled: true, keepBytes: keep * MB, keepMs: hours * HOUR, maxBytes: max * MB } });
      const names = decidePurge(given);
      expect(names).toEqual(given.segments.slice(0, names.length).map((s) => s.name));
      const end = BigInt(names.length * MB);
      expect(given.holds.every((hold) => names.length === 0 || end <= hold)).toBe(true);
    }));
  });
});
