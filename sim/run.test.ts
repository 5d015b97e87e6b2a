import { describe, expect, it } from 'vitest';
import { runSeed } from './run.ts';

describe('simulated groups', () => {
  it('keep every rule and become well again', () => {
    const failed = [];
    for (let seed = 1; seed <= 200; seed += 1) {
      const { violation } = runSeed({ seed });
      if (violation !== null) failed.push(`seed ${seed}: ${violation.rule}: ${violation.message}`);
    }
    expect(failed).toEqual([]);
  }, 120_000);

  it('keep every rule with two deciders and compare-and-set', () => {
    const failed = [];
    for (let seed = 1; seed <= 40; seed += 1) {
      const { violation } = runSeed({ seed, deciders: ['h1', 'h2'] });
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

  it('live through failovers and commits', () => {
    const lives = [1, 2, 3, 4, 5].map((seed) => runSeed({ seed }));
    expect(Math.max(...lives.map(({ term }) => term))).toBeGreaterThan(3);
    for (const { commits } of lives) expect(commits).toBeGreaterThan(100);
  });
});
