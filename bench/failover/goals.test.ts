import { expect, test } from 'vitest';
import { goalRow } from './goals.ts';

test('a figure stands beside its goal', () => {
  expect(goalRow('switchover', [0.5, 0.21, 0.3])).toMatchObject({ figure: 'switchover', rounds: 3, median: 0.3, least: 0.21, worst: 0.5, goal: 0.35, met: true });
  expect(goalRow('host lost', [4.1])).toMatchObject({ met: false });
});
