import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as lsn from './lsn.ts';

const MB = 1024 * 1024;

describe('positions', () => {
  it('reads and writes what PostgreSQL prints', () => {
    expect(lsn.parseLsn('0/16B3748')).toBe(0x16b3748n);
    expect(lsn.parseLsn('ffffffff/FFFFFFFF')).toBe(lsn.MAX_LSN);
    expect(lsn.formatLsn(0x1_0000_00a0n)).toBe('1/A0');
    expect(lsn.formatLsn(0n)).toBe('0/0');
  });

  it.each(['', '0', '/', '0/', '0/G', '0/123456789', '-0/1', ' 0/1', '0/1 '])('refuses %j', (text) => {
    expect(() => lsn.parseLsn(text)).toThrow(/is not a WAL position/);
  });

  it('prints every position so that it reads back', () => {
    fc.assert(fc.property(fc.bigInt(0n, lsn.MAX_LSN), (value) => {
      expect(lsn.parseLsn(lsn.formatLsn(value))).toBe(value);
    }));
  });

  it('compares, subtracts and aligns', () => {
    expect([3n, 1n, 2n].sort(lsn.compareLsn)).toEqual([1n, 2n, 3n]);
    expect(lsn.lsnDiff(1n, 5n)).toBe(-4);
    expect([0n, 1n, 7n, 8n, 9n].map(lsn.align8)).toEqual([0n, 8n, 8n, 8n, 16n]);
    expect([lsn.maxLsn(1n, 2n), lsn.minLsn(1n, 2n)]).toEqual([2n, 1n]);
  });
});

describe('segments', () => {
  it('names files as pg_walfile_name does', () => {
    expect(lsn.segmentName(1, 0x16b3748n, 16 * MB)).toBe('000000010000000000000001');
    expect(lsn.segmentName(0x1a, 0x1_ff00_0000n, 16 * MB)).toBe('0000001A00000001000000FF');
    expect(lsn.segmentName(1, 0x2_4000_0000n, 1024 * MB)).toBe('000000010000000200000001');
    expect(lsn.segmentName(1, 0xfff0_0000n, MB)).toBe('000000010000000000000FFF');
  });

  it('refuses what is not a segment of that size', () => {
    expect(lsn.parseSegmentName('000000010000000000000100', 16 * MB)).toBeNull();
    expect(lsn.parseSegmentName('000000010000000000000100', MB)).toEqual({ timeline: 1, start: 0x1000_0000n });
    expect(lsn.parseSegmentName('000000000000000000000001', MB)).toBeNull();
    expect(lsn.parseSegmentName('00000001000000000000000a', MB)).toBeNull();
    expect(lsn.parseSegmentName('000000010000000000000001.partial', MB)).toBeNull();
    expect(lsn.parseSegmentName('00000002.history', MB)).toBeNull();
  });

  it('finds the segment of any position, at any size', () => {
    const sizes = Array.from({ length: 11 }, (_, i) => MB << i);
    fc.assert(fc.property(fc.bigInt(0n, lsn.MAX_LSN - 0x4000_0000n), fc.constantFrom(...sizes), fc.integer({ min: 1, max: 0x7fffffff }), (at, size, tli) => {
      const start = lsn.segmentStart(at, size);
      expect(start + BigInt(lsn.segmentOffset(at, size))).toBe(at);
      expect(lsn.segmentEnd(at, size) - start).toBe(BigInt(size));
      expect(lsn.parseSegmentName(lsn.segmentName(tli, at, size), size)).toEqual({ timeline: tli, start });
    }));
  });

  it('knows the sizes that initdb takes', () => {
    expect([MB, 16 * MB, 1024 * MB].every(lsn.isSegmentSize)).toBe(true);
    expect([0, MB / 2, 3 * MB, 2048 * MB, Number.NaN, 1.5].some(lsn.isSegmentSize)).toBe(false);
  });
});
