/** Raft's safety under random schedules; testing/invariants.ts says what is watched. */
import { array, assert, boolean, constantFrom, nat, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Network, type NetworkOptions } from './testing/network.ts';

const schedule = array(nat(2 ** 31), { minLength: 40, maxLength: 220, size: 'max' });
const shape = record({ voters: constantFrom(1, 2, 3, 3, 4, 5), spares: constantFrom(0, 0, 1, 2), seed: nat(1000), storm: boolean() });

function play(options: NetworkOptions, choices: number[]): Network {
  const network = new Network(options);
  for (const choice of choices) network.act(choice);
  return network;
}

describe('Raft under random schedules', () => {
  it('keeps election safety, log matching, leader completeness, state machine safety and linearizable reads', () => {
    let highest = 0;
    let reads = 0;
    let terms = 0;
    assert(property(shape, schedule, (options, choices) => {
      const network = play(options, choices);
      highest = Math.max(highest, network.invariants.highest);
      reads += network.invariants.answeredReads;
      terms = Math.max(terms, network.invariants.terms);
    }), { numRuns: 300 });
    // Schedules in which nothing happens would prove nothing.
    expect(highest).toBeGreaterThan(20);
    expect(reads).toBeGreaterThan(100);
    expect(terms).toBeGreaterThan(5);
  }, 60_000);

  it('gives out one lease at a time, and none beside a newer leader', () => {
    let terms = 0;
    assert(property(shape, schedule, (options, choices) => {
      terms += play({ ...options, lockstep: true }, choices).invariants.terms;
    }), { numRuns: 150 });
    expect(terms).toBeGreaterThan(150);
  }, 60_000);

  it('comes back once everything works again, with equal states', () => {
    assert(property(shape, schedule, (options, choices) => {
      const network = play(options, choices);
      network.recover();
      const leaders = network.nodes.filter(({ raft }) => raft!.status().role === 'leader');
      expect(leaders).toHaveLength(1);
      const { conf, committed } = leaders[0]!.raft!.status();
      expect(leaders[0]!.raft!.status().committedInTerm).toBe(true);
      for (const node of network.nodes.filter(({ id }) => conf.voters.includes(id) || conf.learners.includes(id))) {
        expect(node.raft!.status().applied).toBe(committed);
        expect(node.machine).toEqual(leaders[0]!.machine);
      }
    }), { numRuns: 150 });
  }, 60_000);
});
