import { describe, expect, it } from 'vitest';
import { forkPoint, formatHistory, historyFileName, isAncestor, parseHistory, parseHistoryFileName, switchpointOf, timelineAt, timelineSpans } from './history.ts';

/** As PostgreSQL leaves it after two promotions: the copied file, an empty line, the new line. */
const TEXT = '1\t0/3000A28\tno recovery target specified\n\n2\t0/5000000\tno recovery target specified\n';
const three = parseHistory(3, TEXT);
const follows = (timeline: number, lsn: bigint): boolean => isAncestor(three, { timeline, lsn });

describe('history files', () => {
  it('reads and writes what PostgreSQL writes, byte for byte', () => {
    expect(three.parents.map((p) => [p.timeline, p.switchpoint])).toEqual([[1, 0x3000a28n], [2, 0x5000000n]]);
    expect(formatHistory(three)).toBe(TEXT);
    expect(formatHistory(parseHistory(1, ''))).toBe('');
  });

  it('passes over comments, blank lines and a missing reason', () => {
    expect(parseHistory(9, '# by hand\n\n  4 0/A0\n').parents).toEqual([{ timeline: 4, switchpoint: 0xa0n, reason: '' }]);
  });

  it.each([
    ['x\t0/1', /00000003\.history, line 1: expected a timeline/],
    ['1\t0/1\tok\n2\tnowhere\tr', /line 2: expected a timeline/],
    ['2\t0/1\tr\n\n1\t0/2\tr', /line 3: timeline numbers must increase/],
    ['3\t0/1\tr', /must be less than 3/],
    ['0\t0/1\tr', /not a timeline number/],
    ['1\t0/9\tr\n2\t0/1\tr', /line 2: switch points must not go backwards/],
  ])('refuses %j and names the line', (text, message) => {
    expect(() => parseHistory(3, text)).toThrow(message);
  });

  it('names files', () => {
    expect(historyFileName(0x1a)).toBe('0000001A.history');
    expect(['0000001A.history', '00000000.history', '1.history', '0000001A.history.ready'].map(parseHistoryFileName)).toEqual([26, null, null, null]);
  });
});

describe('questions about timelines', () => {
  it('knows which timeline a byte belongs to: a switch point already belongs to the next', () => {
    expect([0n, 0x3000a27n, 0x3000a28n, 0x4ffffffn, 0x5000000n].map((at) => timelineAt(three, at))).toEqual([1, 1, 2, 2, 3]);
    expect(timelineSpans(three).map((s) => [s.timeline, s.begin, s.end])).toEqual([[1, 0n, 0x3000a28n], [2, 0x3000a28n, 0x5000000n], [3, 0x5000000n, null]]);
    expect([1, 2, 3, 4].map((tli) => switchpointOf(three, tli))).toEqual([0x3000a28n, 0x5000000n, null, null]);
  });

  it('lets follow only who has not gone past the fork', () => {
    expect([follows(1, 0x3000a28n), follows(1, 0x3000a29n), follows(2, 0x5000000n), follows(3, 0x9000000n), follows(4, 1n)]).toEqual([true, false, true, true, false]);
  });

  it('finds the fork of two histories', () => {
    const other = parseHistory(4, '1\t0/3000A28\tr\n2\t0/4000000\tr\n');
    expect(forkPoint(three, other)).toEqual({ timeline: 2, lsn: 0x4000000n });
    expect(forkPoint(other, three)).toEqual({ timeline: 2, lsn: 0x4000000n });
    expect(forkPoint(three, parseHistory(5, '1\t0/2000000\tr'))).toEqual({ timeline: 1, lsn: 0x2000000n });
    expect(forkPoint(three, parseHistory(2, '1\t0/3000A28\tr'))).toEqual({ timeline: 2, lsn: 0x5000000n });
    expect(forkPoint(three, three)).toEqual({ timeline: 3, lsn: null });
    expect(forkPoint(parseHistory(7, ''), three)).toBeNull();
  });
});
