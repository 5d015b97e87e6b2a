/**
 * The shared cluster with `commit: async`: the primary's postmaster is killed under load, round after round; nothing
 * that was acknowledged may be missing. Then switchovers.
 */
import { TestCluster } from '../../test/support/cluster.ts';
import { sleep } from '../../src/lifecycle.ts';
import { targetsOf, type Target } from '../../test/support/connect.ts';
import { sharedManifest } from '../../test/support/manifest.ts';
import { makeTestVolume } from '../../test/support/volume.ts';
import { Writer } from '../../test/support/writer.ts';
import type { BenchContext, BenchResult, Row } from '../lib/bench.ts';
import { initialise, startLoad, VERSION } from '../lib/pgbench.ts';
import { max, median, seconds, significant } from '../lib/stats.ts';

const GB = 1024 ** 3;
const WRITABLE_WITHIN_MS = 60_000;
const BACK_WITHIN_MS = 120_000;
const LONGEST_S = 600;

/** Rounds, and what they come to. */
export async function shared(context: BenchContext): Promise<BenchResult> {
  const { quick, only, say } = context;
  const [fs = 'btrfs'] = (only.fs ?? 'btrfs').split(',') as ('btrfs' | 'xfs')[];
  const volume = await makeTestVolume({ fs, size: 8 * GB });
  const cluster = await TestCluster.open({ volumes: [volume.path] });
  try {
    await cluster.up(sharedManifest({ volume: volume.path, firstPort: cluster.firstPort, version: VERSION, replicas: 2, recloneAbove: 0, failover: 'automatic' }));
    const uri = await cluster.uri();
    await initialise(uri, quick ? 2 : 20);
    const writer = await Writer.start({ targets: () => targetsOf(uri), sessions: 2 });
    const rows: Row[] = [];
    try {
      for (let round = 1; round <= Number(only.rounds ?? (quick ? 2 : 10)); round += 1) rows.push(await kill({ context, cluster, writer, uri, round, fs }));
      for (let round = 1; round <= (quick ? 2 : 5); round += 1) rows.push(await switchOver({ context, cluster, writer, uri, round, fs }));
    } catch (error) {
      say(`the end of the logs:\n${await cluster.logs()}`);
      throw error;
    } finally {
      await writer.stop();
    }
    const verdict = await writer.verify();
    say(`${verdict.acknowledged} commits were acknowledged, ${verdict.missing.length} of them are missing; ${verdict.inDoubt} in doubt were kept`);
    const of = (step: string, column: string): number[] => rows.filter((row) => row['step'] === step).map((row) => Number(row[column]));
    return {
      rows,
      ratios: {
        shared_acknowledged: verdict.acknowledged,
        shared_acknowledged_missing: verdict.missing.length,
        shared_kill_to_write_median: significant(median(of('kill -9', 'writable'))),
        shared_kill_to_write_max: max(of('kill -9', 'writable')),
        shared_old_primary_back_median: significant(median(of('kill -9', 'back'))),
        shared_switchover_gap_median: significant(median(of('switchover', 'gap'))),
        shared_switchover_gap_max: max(of('switchover', 'gap')),
      },
    };
  } finally {
    await cluster.destroy();
    await volume.destroy();
  }
}

interface Round {
  context: BenchContext;
  cluster: TestCluster;
  writer: Writer;
  uri: string;
  round: number;
  fs: string;
}

/** Load, kill, wait for the first write, wait for the old primary as a replica. Times in seconds. */
async function kill({ context, cluster, writer, uri, round, fs }: Round): Promise<Row> {
  await cluster.waitHealthy({ timeoutMs: BACK_WITHIN_MS });
  const primary = await cluster.primary();
  const load = startLoad(toWriter(uri), { forSeconds: LONGEST_S });
  await sleep(context.quick ? 3000 : 10_000);
  const before = writer.acknowledgements.count;
  const killed = performance.now();
  await cluster.kill(primary.name);
  const writable = (await writer.acknowledgedAfter(killed, WRITABLE_WITHIN_MS)) - killed;
  const { tps } = await load.stop();
  const gap = writer.longestGap(killed - 1000).ms;
  await cluster.waitHealthy({ members: 3, timeoutMs: BACK_WITHIN_MS });
  const back = performance.now() - killed;
  const { missing } = await writer.verify();
  const now = await cluster.primary();
  context.say(`kill -9 ${round}: ${primary.name} -> ${now.name}, writable in ${seconds(writable)} s, ${primary.name} back in ${seconds(back)} s, ${missing.length} missing`);
  return { group: `shared, ${fs}`, step: 'kill -9', round, from: primary.name, to: now.name, writable: seconds(writable), gap: seconds(gap), back: seconds(back), acknowledged: before, missing: missing.length, tps: Math.round(tps) };
}

async function switchOver({ context, cluster, writer, uri, round, fs }: Round): Promise<Row> {
  await cluster.waitHealthy({ timeoutMs: BACK_WITHIN_MS });
  const primary = await cluster.primary();
  const load = startLoad(toWriter(uri), { forSeconds: LONGEST_S });
  await sleep(2000);
  const before = writer.acknowledgements.count;
  const asked = performance.now();
  await cluster.must('switchover');
  const writable = (await writer.acknowledgedAfter(asked, WRITABLE_WITHIN_MS)) - asked;
  await cluster.waitHealthy({ members: 3, timeoutMs: BACK_WITHIN_MS });
  const back = performance.now() - asked;
  const { tps } = await load.stop();
  const gap = writer.longestGap(asked - 500).ms;
  const { missing } = await writer.verify();
  const now = await cluster.primary();
  context.say(`switchover ${round}: ${primary.name} -> ${now.name}, no write for ${seconds(gap)} s, ${missing.length} missing`);
  return { group: `shared, ${fs}`, step: 'switchover', round, from: primary.name, to: now.name, writable: seconds(writable), gap: seconds(gap), back: seconds(back), acknowledged: before, missing: missing.length, tps: Math.round(tps) };
}

/** The same servers, the one that accepts writes wanted: libpq looks for it. */
function toWriter(uri: string): string {
  const bare = uri.replace(/\?.*$/, '');
  const [first] = targetsOf(uri) as [Target];
  return `${bare}?target_session_attrs=read-write&connect_timeout=5&application_name=bench-${first.port}`;
}
