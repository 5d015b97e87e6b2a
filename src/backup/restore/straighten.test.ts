import { describe, expect, it } from 'vitest';
import { formatHistory } from '../../wal/history.ts';
import { straightened } from './straighten.ts';

const followed = { timeline: 3, parents: [{ timeline: 1, switchpoint: 0x8000000n, reason: 'one' }, { timeline: 2, switchpoint: 0x9000000n, reason: 'two' }] };
const written = (at: string): string => `1\t0/8000000\tone\n\n2\t0/9000000\ttwo\n\n3\t${at}\tbefore 2026-11-21 12:02:22+00\n`;

describe('straightened', () => {
  it('leaves a history alone that is right', () => {
    expect(formatHistory(straightened(4, written('0/9500000'), followed))).toBe(written('0/9500000'));
  });

  it.each([
    ['0/8500000', [1, 2]],
    ['0/8000000', [1]],
    ['0/7002050', [1]],
    ['0/9000000', [1, 2]],
  ])('knows where %s lies', (at, timelines) => {
    const { parents } = straightened(4, written(at), followed);
    expect(parents.map(({ timeline }) => timeline)).toEqual(timelines);
    expect(parents.at(-1)).toMatchObject({ reason: 'before 2026-11-21 12:02:22+00' });
  });

  it('needs a line', () => {
    expect(() => straightened(4, '\n', followed)).toThrow(expect.objectContaining({ code: 'wal-invalid' }));
  });
});
