import { describe, expect, test } from 'vitest';
import { Prng } from '../../sim/kernel/prng.ts';
import { TOPOLOGIES, topologyOf } from '../topologies.ts';
import { drawPlan } from './plan.ts';

const draw = (seed: number, name: (typeof TOPOLOGIES)[number], longest = 30_000): ReturnType<typeof drawPlan> => drawPlan(new Prng(seed, 'faults'), topologyOf(name), longest);

describe('a plan of faults', () => {
  test('comes from the seed alone', () => {
    expect(draw(7, 'five')).toEqual(draw(7, 'five'));
    expect(draw(7, 'five')).not.toEqual(draw(8, 'five'));
  });

  test.each(TOPOLOGIES)('ends in time: %s', (name) => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const { length, faults } = draw(seed, name);
      expect(length).toBeLessThanOrEqual(30_000);
      expect(faults[0]?.at).toBe(0);
      for (const fault of faults) expect(fault.at + fault.lasts).toBeLessThanOrEqual(length);
    }
  });

  test('has no fault that the topology can not have', () => {
    const kinds = (name: (typeof TOPOLOGIES)[number]): Set<string> => new Set(Array.from({ length: 300 }, (_, seed) => draw(seed, name).faults.map((fault) => fault.kind)).flat());
    expect(kinds('shared')).not.toContain('fill-disk');
    expect(kinds('local-replicas')).not.toContain('kill-logger');
    expect([...kinds('three-node')].length).toBe(21);
  });
});
