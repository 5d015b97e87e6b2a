import { expect, it } from 'vitest';
import { ARCHIVE_SLOT } from '../decide/goals.ts';
import { restAsFollower, restAsPrimary } from './rest.ts';

it.each([
  ['all are there', ['pgorbit_n2', 'pgorbit_n3'], 2, 60_000, 2_000],
  ['one is awaited', ['pgorbit_n2', 'pgorbit_n3'], 1, 60_000, 200],
  ['nobody comes for the slot of the archive', ['pgorbit_n2', ARCHIVE_SLOT], 1, 60_000, 2_000],
  ['the voters have just changed', ['pgorbit_n2'], 1, 100, 200],
])('a primary is looked at as often as others wait for it: %s', (_, slots, followers, changedFor, ms) => {
  expect(restAsPrimary({ kind: 'primary', slots, synchronousNames: '', change: 3 }, followers, changedFor)).toBe(ms);
});

it.each([
  ['the upstream speaks', 'n2@7', 100, 1_900],
  ['it does not stream', 'n2@7', null, 2_000],
  ['it has been silent for a while', 'n2@7', 1_990, 50],
  ['it has no vote yet', 'n2@0', 100, 200],
  ['and its name ends in the same figure', 'n2@10', 100, 1_900],
])('a follower is looked at as often as others wait for it: %s', (_, name, heardMs, ms) => {
  expect(restAsFollower({ kind: 'follow', upstream: { member: 'n1', address: '127.0.0.1', port: 1 }, slot: 's', name }, heardMs)).toBe(ms);
});
