/**
 * What a replica occupies of a shared volume over its life: after its attach, after a minute of TPC-B, after
 * checkpoints, after WAL is shared again, and after a rolling clone.
 */
import { sleep } from '../src/lifecycle.ts';
import { TestCluster } from '../test/support/cluster.ts';
import { connectTo, targetsOf } from '../test/support/connect.ts';
import { sharedManifest } from '../test/support/manifest.ts';
import { makeTestVolume } from '../test/support/volume.ts';
import type { Bench, BenchContext, Row } from './lib/bench.ts';
import { dataBytes, initialise, startLoad, VERSION } from './lib/pgbench.ts';
import { exclusiveOf, logicalOf, occupied, usage } from './lib/space.ts';
import { significant } from './lib/stats.ts';

const GB = 1024 ** 3;
const REPLICAS = 2;

export const bench: Bench = {
  summary: 'bytes that a replica occupies, from its attach to a rolling clone',
  run: async (context) => {
    const { quick, only } = context;
    const kinds = (only.fs?.split(',') ?? (quick ? ['btrfs'] : ['btrfs', 'xfs'])) as ('btrfs' | 'xfs')[];
    const scale = Number(only.scales?.split(',')[0] ?? (quick ? 10 : 100));
    const rows: Row[] = [];
    for (const fs of kinds) rows.push(...(await curve(context, fs, scale)));
    const ratios = Object.fromEntries(rows.map((row) => [`${row['fs']}_${String(row['step']).replaceAll(/\W+/g, '_')}_share`, row['share'] as number]));
    return { rows, ratios };
  },
};

async function curve({ quick, say }: BenchContext, fs: 'btrfs' | 'xfs', scale: number): Promise<Row[]> {
  const volume = await makeTestVolume({ fs, size: Math.ceil((dataBytes(scale) * 5 + 4 * GB) / GB) * GB });
  const cluster = await TestCluster.open({ volumes: [volume.path] });
  try {
    // Only what is asked for is cloned again: each step is looked at by itself.
    await cluster.up(sharedManifest({ volume: volume.path, firstPort: cluster.firstPort, version: VERSION, replicas: 0, hosts: REPLICAS + 1, recloneAbove: 0, settings: { max_wal_size: '2GB' } }));
    const uri = await cluster.uri();
    await initialise(uri, scale);
    await onEach(cluster, 'checkpoint');
    const alone = await occupied(volume.path);
    const rows: Row[] = [];
    const look = async (step: string): Promise<void> => {
      const bytes = await occupied(volume.path);
      const measured = await usage(cluster);
      const primary = (await cluster.primary()).name;
      const replicas = measured.members.map(({ name }) => name).filter((name) => name !== primary);
      const data = logicalOf(measured, primary);
      const own = replicas.reduce((sum, name) => sum + exclusiveOf(measured, name), 0) / replicas.length;
      const share = significant(own / data);
      rows.push({
        fs, scale, step, dataBytes: data, occupiedBytes: bytes, perReplicaBytes: Math.round((bytes - data) / replicas.length),
        ownBytes: Math.round(own), primaryOwnBytes: exclusiveOf(measured, primary), share, grownBytes: bytes - alone,
      });
      say(`${fs}, ${step}: a replica alone occupies ${(share * 100).toFixed(1)} % of the data`);
    };
    await cluster.must('scale', '--replicas', String(REPLICAS));
    await look('attached');
    const load = startLoad(uri, { forSeconds: quick ? 8 : 60 });
    const { tps } = await load.ended;
    say(`TPC-B at ${Math.round(tps)} transactions a second`);
    await look('after TPC-B');
    await settle(cluster);
    await look('settled');
    await cluster.must('volume', 'reclaim');
    await look('WAL shared');
    await cluster.must('volume', 'reclaim', '--reclone', '--drain', '10s');
    await cluster.waitHealthy();
    await look('cloned anew');
    return rows;
  } finally {
    await cluster.destroy();
    await volume.destroy();
  }
}

/** A checkpoint, its replay, and a restartpoint on every replica. */
async function settle(cluster: TestCluster): Promise<void> {
  await onEach(cluster, 'checkpoint');
  for (let left = 100; left > 0; left -= 1) {
    const { members } = await cluster.group();
    if (members.every(({ lagBytes }) => lagBytes === null || lagBytes === 0)) break;
    await sleep(100);
  }
  await onEach(cluster, 'checkpoint');
}

/** On the primary first, then on the replicas. */
async function onEach(cluster: TestCluster, sql: string): Promise<void> {
  for (const target of targetsOf(await cluster.uri())) {
    const client = await connectTo(target);
    await client.query(sql);
    await client.end();
  }
}
