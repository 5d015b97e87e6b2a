import { describe, expect, it } from 'vitest';
import { formatDuration, formatSize, parseDuration, parseSize } from './units.ts';

describe('times and sizes', () => {
  it('are written with a unit, as PostgreSQL has them', () => {
    expect(['2s', '500ms', '15min', '1.5 h', '2d', '0s'].map(parseDuration)).toEqual([2000, 500, 900_000, 5_400_000, 172_800_000, 0]);
    for (const text of ['2', '', 's', '-1s', '2 S', '1m', '1e3s', '99999999999d', '2s3']) expect(parseDuration(text), text).toBeNull();
  });

  it('are shown so that they read as the same', () => {
    for (const ms of [0, 1, 999, 1000, 90_000, 900_000, 3_600_000, 86_400_000, 86_400_001]) expect(parseDuration(formatDuration(ms))).toBe(ms);
    expect([0, 60_000, 90_000].map(formatDuration)).toEqual(['0s', '1min', '90s']);
    for (const bytes of [0, 1024, 1536 * 1024, 16 * 1024 ** 2, 8 * 1024 ** 3]) expect(parseSize(formatSize(bytes))).toBe(bytes);
  });
});
