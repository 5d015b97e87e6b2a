import { expect, it } from 'vitest';
import { ARCHIVE_SLOT } from '../decide/goals.ts';
import { restAsPrimary } from './rest.ts';

it.each([
  ['all are there', ['pgorbit_n2', 'pgorbit_n3'], 2, 60_000, 2_000],
  ['one is awaited', ['pgorbit_n2', 'pgorbit_n3'], 1, 60_000, 200],
  ['nobody comes for the slot of the archive', ['pgorbit_n2', ARCHIVE_SLOT], 1, 60_000, 2_000],
  ['the voters have just changed', ['pgorbit_n2'], 1, 100, 200],
])('a primary is looked at as often as others wait for it: %s', (_, slots, followers, changedFor, ms) => {
  expect(restAsPrimary({ kind: 'primary', slots, synchronousNames: '', change: 3 }, followers, changedFor)).toBe(ms);
});
