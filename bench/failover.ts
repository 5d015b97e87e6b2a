/** Failover, switchover and the way back, under a client that remembers what it was promised: shared storage, and quorum groups. */
import type { Bench, BenchContext, BenchResult } from './lib/bench.ts';
import { quorum } from './failover/quorum.ts';
import { shared } from './failover/shared.ts';

const KINDS: Record<string, (context: BenchContext) => Promise<BenchResult>> = { shared, quorum };

export const bench: Bench = {
  summary: 'the primary lost in every way, and switchovers: commit: async on a shared volume, commit: quorum of three on local storage',
  run: async (context) => {
    const all: Required<BenchResult> = { rows: [], ratios: {}, goals: [] };
    for (const kind of (context.only.groups ?? 'shared,quorum').split(',')) {
      const run = KINDS[kind];
      if (run === undefined) throw new Error(`--groups takes ${Object.keys(KINDS).join(', ')}, not "${kind}"`);
      const { rows, ratios, goals } = await run(context);
      all.rows.push(...rows);
      all.goals.push(...(goals ?? []));
      Object.assign(all.ratios, ratios);
    }
    return all;
  },
};
