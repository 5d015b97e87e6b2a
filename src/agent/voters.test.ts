import { expect, it } from 'vitest';
import type { Conf } from '../consensus/core/types.ts';
import { nextVoterStep, type VoterStep } from './voters.ts';

const all = ['h1', 'h2', 'h3'];
const step = (conf: Conf, hosts: string[], patch: { joined?: string[]; inUse?: string[] } = {}): VoterStep =>
  nextVoterStep({ conf, hosts, joined: patch.joined ?? all, inUse: new Set(patch.inUse) });

it('lets a new host listen before it votes, and removes one that left, one step at a time', () => {
  expect(step({ voters: ['h1', 'h2'], learners: [] }, all)).toEqual({ do: 'add', host: 'h3' });
  expect(step({ voters: ['h1', 'h2'], learners: ['h3'] }, all)).toEqual({ do: 'promote', host: 'h3' });
  expect(step({ voters: all, learners: [] }, ['h1', 'h2'])).toEqual({ do: 'remove', host: 'h3' });
  expect(step({ voters: ['h1', 'h2'], learners: [] }, ['h1', 'h2'])).toEqual({ do: 'forget', host: 'h3' });
  expect(step({ voters: ['h1', 'h2'], learners: [] }, ['h1', 'h2'], { joined: ['h1', 'h2'] })).toBeNull();
});

it('keeps a host that still has members, and adds before it removes', () => {
  expect(step({ voters: ['h1', 'h2'], learners: [] }, ['h1'], { inUse: ['h2'], joined: ['h1', 'h2'] })).toBeNull();
  expect(step({ voters: ['h1', 'h2'], learners: [] }, ['h1', 'h3'])).toEqual({ do: 'add', host: 'h3' });
  // A learner that the manifest no longer names goes as it came.
  expect(step({ voters: ['h1'], learners: ['h2'] }, ['h1'])).toEqual({ do: 'remove', host: 'h2' });
});

it('waits for a host that has not joined, and keeps a founder that has not said where it is', () => {
  expect(step({ voters: ['h1', 'h2'], learners: [] }, all, { joined: ['h1', 'h2'] })).toBeNull();
  expect(step({ voters: ['h1', 'h2'], learners: [] }, ['h1', 'h2'], { joined: [] })).toBeNull();
});
