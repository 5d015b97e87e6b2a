import { describe, expect, test } from 'vitest';
import { bothOpen, longestGap, missing, sharedTimelines, staleAcks, type Ack } from './history.ts';

const ack = (member: string, timeline: number, sent: number, acked: number): Ack => ({ w: 1, n: sent, sent, acked, member, timeline });

describe('two primaries', () => {
  test('an answer that comes late is none', () => {
    expect(staleAcks([ack('n1', 1, 10, 100), ack('n2', 2, 50, 60)])).toEqual([]);
  });

  test('a commit that is sent after a later timeline began to answer is one', () => {
    const [old, fresh] = [ack('n1', 1, 61, 70), ack('n2', 2, 50, 60)];
    expect(staleAcks([old, fresh])).toEqual([{ stale: old, newer: fresh }]);
  });

  test('the same member may answer on an older timeline never, but that is for others to find', () => {
    expect(staleAcks([ack('n1', 1, 61, 70), ack('n1', 2, 50, 60)])).toEqual([]);
  });

  test('one timeline has one writer', () => {
    expect(sharedTimelines([ack('n1', 1, 0, 1), ack('n2', 2, 2, 3), ack('n1', 2, 4, 5)])).toEqual([{ timeline: 2, members: ['n1', 'n2'] }]);
  });
});

test('members that are open at once are told with the time', () => {
  const spans = [{ member: 'n1', from: 0, to: 100 }, { member: 'n2', from: 80, to: 300 }, { member: 'n1', from: 120, to: 130 }, { member: 'n1', from: 310, to: 400 }];
  expect(bothOpen(spans)).toEqual([{ members: ['n1', 'n2'], from: 80, ms: 20 }, { members: ['n2', 'n1'], from: 120, ms: 10 }]);
});

test('rows that are gone', () => {
  expect(missing([{ w: 1, n: 1 }, { w: 1, n: 2 }], new Set(['1:2', '2:1']))).toEqual([{ w: 1, n: 1 }]);
});

test('the longest gap counts both ends', () => {
  expect(longestGap([ack('n1', 1, 0, 40), ack('n1', 1, 0, 50)], 0, 200)).toBe(150);
  expect(longestGap([], 0, 200)).toBe(200);
});
