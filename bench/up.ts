/** From `pgorbit up` to a healthy demo, and what its idle agents take. */
import { sleep } from '../src/lifecycle.ts';
import { TestCluster } from '../test/support/cluster.ts';
import type { Bench, Row } from './lib/bench.ts';
import { cpuSeconds, residentBytes } from './lib/proc.ts';
import { max, median, seconds, significant } from './lib/stats.ts';

/** Start-up work is over by then: the first measurement of the volume, the first reports. */
const SETTLE_MS = 5_000;

export const bench: Bench = {
  summary: 'from pgorbit up to a healthy demo; an idle agent',
  run: async ({ quick, only, say }) => {
    const rounds = Number(only.rounds ?? (quick ? 1 : 3));
    const rows: Row[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const cluster = await TestCluster.open();
      try {
        const started = performance.now();
        await cluster.up();
        const up = seconds(performance.now() - started);
        say(`up in ${up} s`);
        const again = performance.now();
        await cluster.up();
        rows.push({ round, step: 'up', host: null, seconds: up, residentBytes: null, cpuPercent: null });
        rows.push({ round, step: 'up again', host: null, seconds: seconds(performance.now() - again), residentBytes: null, cpuPercent: null });
        rows.push(...(await idle(cluster, round, quick ? 10_000 : 20_000)));
        const ended = performance.now();
        await cluster.must('destroy', '--yes');
        rows.push({ round, step: 'destroy', host: null, seconds: seconds(performance.now() - ended), residentBytes: null, cpuPercent: null });
      } finally {
        await cluster.destroy();
      }
    }
    const of = (step: string, column: string): number[] => rows.filter((row) => row['step'] === step).map((row) => Number(row[column]));
    return {
      rows,
      ratios: {
        up_seconds_median: median(of('up', 'seconds')),
        up_seconds_max: max(of('up', 'seconds')),
        agent_resident_mb_max: significant((max(of('idle agent', 'residentBytes')) ?? 0) / 1024 ** 2),
        agent_cpu_percent_max: max(of('idle agent', 'cpuPercent')),
      },
    };
  },
};

async function idle(cluster: TestCluster, round: number, ms: number): Promise<Row[]> {
  await sleep(SETTLE_MS);
  const agents = (await cluster.status()).agents.flatMap(({ host, pid, state }) => (pid === null ? [] : [{ host, pid, state, before: cpuSeconds(pid) }]));
  const started = performance.now();
  await sleep(ms);
  const spent = (performance.now() - started) / 1000;
  return agents.map(({ host, pid, state, before }) => ({
    round, step: 'idle agent', host: `${host} (${state})`, seconds: null, residentBytes: residentBytes(pid), cpuPercent: significant(((cpuSeconds(pid) - before) / spent) * 100, 2),
  }));
}
