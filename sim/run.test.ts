import { describe, expect, it } from 'vitest';
import { decideGroup } from '../src/group/decide/decide.ts';
import { runSeed } from './run.ts';
import { STANDBY, TOPOLOGIES } from './world/topology.ts';

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

  it('have standbys that take their WAL from a logger', () => {
    let streaming = 0;
    for (let seed = 1; seed <= 20; seed += 1) {
      runSeed({
        seed, topology: 'local-quorum', peace: false, wishes: 'loggers',
        decide: (input) => {
          const goal = input.record?.members[STANDBY]?.goal;
          const upstream = goal?.kind === 'follow' ? input.record?.members[goal.upstream.member] : undefined;
          if (upstream?.role === 'logger' && input.seen[STANDBY]?.report.streamingFrom === `${upstream.address}:${upstream.port}`) streaming += 1;
          return decideGroup(input);
        },
      });
    }
    expect(streaming).toBeGreaterThan(0);
  });

  it.each(TOPOLOGIES)('live through failovers and commits: %s', (topology) => {
    const lives = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => runSeed({ seed, topology }));
    expect(Math.max(...lives.map(({ term }) => term))).toBeGreaterThan(2);
    expect(Math.min(...lives.map(({ commits }) => commits))).toBeGreaterThan(50);
  }, 120_000);
});
