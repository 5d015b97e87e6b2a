import { describe, expect, it } from 'vitest';
import { runSeed } from './run.ts';
import { TOPOLOGIES } from './world/topology.ts';

describe('simulated groups', () => {
  it.each(TOPOLOGIES)('keep every rule and become well again: %s', (topology) => {
    const failed = [];
    for (let seed = 1; seed <= 40; seed += 1) {
      const { violation } = runSeed({ seed, topology });
      if (violation !== null) failed.push(`seed ${seed}: ${violation.rule}: ${violation.message}`);
    }
    expect(failed).toEqual([]);
  }, 120_000);

  it('do the same again from the same seed, whether watched or not', () => {
    const story = (seed: number): string[] => {
      const lines: string[] = [];
      runSeed({ seed, trace: (line) => lines.push(line) });
      return lines;
    };
    expect(story(7)).toEqual(story(7));
    expect(story(7)).not.toEqual(story(8));
    expect(runSeed({ seed: 7 })).toEqual(runSeed({ seed: 7, trace: () => undefined }));
  });

  it.each(TOPOLOGIES)('live through failovers and commits: %s', (topology) => {
    const lives = [1, 2, 3, 4, 5].map((seed) => runSeed({ seed, topology }));
    expect(Math.max(...lives.map(({ term }) => term))).toBeGreaterThan(2);
    expect(Math.min(...lives.map(({ commits }) => commits))).toBeGreaterThan(50);
  }, 120_000);
});
