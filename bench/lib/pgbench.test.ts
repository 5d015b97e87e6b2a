import { expect, test } from 'vitest';
import { readLoad } from './pgbench.ts';

const PROGRESS = `pgbench (15.14)
progress: 1.0 s, 500.0 tps, lat 3.9 ms stddev 1.2, 0 failed
progress: 2.0 s, 700.0 tps, lat 2.9 ms stddev 0.2, 3 failed
`;

test('a load that was ended early is known by its progress', () => {
  expect(readLoad(143, '', PROGRESS)).toEqual({ tps: 600, failed: 3, errors: [], code: 143 });
});

test("a load that ended by itself is known by pgbench's summary", () => {
  expect(readLoad(0, 'number of failed transactions: 0 (0.000%)\ntps = 612.5 (without initial connection time)\n', PROGRESS).tps).toBe(612.5);
});

test('an error of a client is told', () => {
  const result = readLoad(2, '', `${PROGRESS}pgbench: error: client 1 aborted in command 5 (SQL) of script 0; perhaps the backend died\n`);
  expect(result.errors).toHaveLength(1);
  expect(result.code).toBe(2);
});
