import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Bell, inStep, Lifecycle } from './lifecycle.ts';

let life: Lifecycle;
beforeEach(() => {
  life = new Lifecycle((error) => {
    throw error;
  });
});
afterEach(() => life.stop());

it('ends rests of half a second and more at the same moments, and leaves shorter ones as they are', () => {
  for (const now of [0, 123.4, 250, 999.9, 77_777.7]) {
    expect(inStep(499, now)).toBe(499);
    for (const ms of [500, 1_000, 2_000, 5_000]) {
      const rest = inStep(ms, now);
      expect((now + rest) % 500).toBeCloseTo(0, 6);
      expect(Math.abs(rest - ms)).toBeLessThanOrEqual(250);
    }
  }
});

it('begins no round after one that returned false, until it is woken', async () => {
  let rounds = 0;
  const woken = new Bell();
  life.every(1, 'counting', () => {
    rounds += 1;
    return rounds === 1 || rounds > 2;
  }, woken);
  await vi.waitFor(() => expect(rounds).toBe(2), { interval: 1 });
  // Ten rests of a running one, at least.
  await new Promise((resolve) => {
    setTimeout(resolve, 50);
  });
  expect(rounds).toBe(2);
  woken.ring();
  await vi.waitFor(() => expect(rounds).toBeGreaterThan(3), { interval: 1 });
});
