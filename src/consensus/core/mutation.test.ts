/** With one rule of safety taken away at a time, the random schedules find a violation: they can fail. */
import { array, boolean, check, constantFrom, nat, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Network, type NetworkOptions } from './testing/network.ts';

const schedule = array(nat(2 ** 31), { minLength: 40, maxLength: 220, size: 'max' });
const shape = record({ voters: constantFrom(3, 5), spares: constantFrom(0), seed: nat(1000), storm: boolean() });

/** The violation that the first failing schedule ends with, or null when `runs` of them all pass. The seeds are ones that find it soon. */
function firstViolation(broken: Partial<NetworkOptions>, runs: number, seed = 7): string | null {
  const result = check(property(shape, schedule, (options, choices) => {
    const network = new Network({ ...options, ...broken });
    for (const choice of choices) network.act(choice);
  }), { numRuns: runs, seed, endOnFailure: true });
  return result.failed ? String((result.errorInstance as Error).message) : null;
}

describe('the properties notice', () => {
  it('votes given without looking at the log', () => {
    expect(firstViolation({ disabledRules: ['vote-log-check'] }, 3000)).toMatch(/leader completeness|state machine safety|committed/);
  }, 60_000);

  it('entries of an earlier term committed by counting', () => {
    expect(firstViolation({ disabledRules: ['commit-own-term'] }, 3000, 3)).toMatch(/leader completeness|state machine safety|committed/);
  }, 60_000);

  it('replies that leave before what they promise is durable', () => {
    expect(firstViolation({ sendBeforePersist: true }, 3000, 2)).toMatch(
      /election safety|both lead|lost entries|leader completeness|state machine safety|committed/);
  }, 60_000);

  it('reads answered by a leader that has not asked whether it still is one', () => {
    expect(firstViolation({ disabledRules: ['read-quorum'] }, 3000)).toMatch(/linearizable reads/);
  }, 60_000);

  it('votes given in spite of the promise to the leader', () => {
    expect(firstViolation({ disabledRules: ['vote-promise'], lockstep: true }, 3000, 6)).toMatch(/lease/);
  }, 60_000);

  it('nothing, while all rules hold', () => {
    expect(firstViolation({}, 300)).toBeNull();
    expect(firstViolation({ lockstep: true }, 100)).toBeNull();
  }, 60_000);
});
