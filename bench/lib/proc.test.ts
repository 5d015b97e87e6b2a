import { expect, test } from 'vitest';
import { cpuSeconds, residentBytes, ticksOf } from './proc.ts';

test('the ticks of a process whose name has blanks and parentheses', () => {
  expect(ticksOf('42 (a (b) c) S 1 42 42 0 -1 4194560 1 2 3 4 70 30 0 0 20 0 11 0 5000')).toBe(100);
});

test('this process is resident and has worked', () => {
  expect(residentBytes(process.pid)).toBeGreaterThan(10_000_000);
  expect(cpuSeconds(process.pid)).toBeGreaterThan(0);
});
