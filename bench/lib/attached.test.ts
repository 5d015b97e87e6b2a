import { expect, test } from 'vitest';
import type { OrbitEvent } from '../../src/observe/event.ts';
import { attachTimes } from './attached.ts';

const event = (member: string, message: string): OrbitEvent => ({ time: '', sequence: 1, host: 'h1', group: 'main', member, level: 'info', kind: 'attached', message, operation: null });

test("the newest attach of the member counts, and no other's", () => {
  const events = [
    event('n3', 'n3 attached in 9.00 s: checkpoint 8.00 s, clone 0.50 s, start and catch-up 0.50 s'),
    event('n3', 'n3 attached in 1.90 s: checkpoint 0.30 s, clone 0.09 s, start and catch-up 1.51 s'),
    event('n4', 'n4 attached in 5.00 s: checkpoint 1.00 s, clone 1.00 s, start and catch-up 3.00 s'),
  ];
  expect(attachTimes(events, 'n3')).toEqual({ total: 1.9, checkpoint: 0.3, clone: 0.09, start: 1.51 });
  expect(() => attachTimes(events, 'n5')).toThrow(/n5/);
});
