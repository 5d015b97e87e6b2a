import { expect, test } from 'vitest';
import { shareable } from './wal-share.ts';

const seg = (timeline: number, n: number): string => `${timeline.toString(16).padStart(8, '0')}00000000${n.toString(16).padStart(8, '0')}`.toUpperCase();

test('only closed segments of the timeline that both have', () => {
  const source = [seg(1, 1), seg(1, 2), seg(2, 3), seg(2, 4), seg(2, 5), seg(2, 6), '00000002.history'];
  const target = [seg(1, 2), seg(2, 4), seg(2, 3), seg(2, 6), seg(2, 7), '00000002.history', `${seg(2, 5)}.partial`, 'archive_status'];
  expect(shareable(source, target, seg(2, 6))).toEqual([seg(2, 3), seg(2, 4)]);
  expect(shareable(source, target, seg(2, 7))).toEqual([seg(2, 3), seg(2, 4), seg(2, 6)]);
  expect(shareable(source, target, seg(3, 9))).toEqual([]);
  expect(shareable(source, target, 'nonsense')).toEqual([]);
});
