import { expect, it } from 'vitest';
import { nextVoterStep } from './voters.ts';

const none = new Set<string>();

it('lets a new host listen before it votes, and removes one that left, one step at a time', () => {
  expect(nextVoterStep({ voters: ['h1', 'h2'], learners: [] }, ['h1', 'h2', 'h3'], none)).toEqual({ do: 'add', host: 'h3' });
  expect(nextVoterStep({ voters: ['h1', 'h2'], learners: ['h3'] }, ['h1', 'h2', 'h3'], none)).toEqual({ do: 'promote', host: 'h3' });
  expect(nextVoterStep({ voters: ['h1', 'h2', 'h3'], learners: [] }, ['h1', 'h2'], none)).toEqual({ do: 'remove', host: 'h3' });
  expect(nextVoterStep({ voters: ['h1', 'h2'], learners: [] }, ['h1', 'h2'], none)).toBeNull();
});

it('keeps a host that still has members, and adds before it removes', () => {
  expect(nextVoterStep({ voters: ['h1', 'h2'], learners: [] }, ['h1'], new Set(['h2']))).toBeNull();
  expect(nextVoterStep({ voters: ['h1', 'h2'], learners: [] }, ['h1', 'h3'], none)).toEqual({ do: 'add', host: 'h3' });
  // A learner that the manifest no longer names goes as it came.
  expect(nextVoterStep({ voters: ['h1'], learners: ['h2'] }, ['h1'], none)).toEqual({ do: 'remove', host: 'h2' });
});
