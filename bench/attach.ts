/**
 * Attaching a replica under TPC-B load: `pgorbit add replica` beside pg_basebackup onto the same volume, in turn, at
 * several sizes on btrfs and XFS, and once more after heavy churn.
 */
import { tmpdir } from 'node:os';
import { sleep } from '../src/lifecycle.ts';
import { TestCluster } from '../test/support/cluster.ts';
import { connectToWriter, targetsOf } from '../test/support/connect.ts';
import { sharedManifest } from '../test/support/manifest.ts';
import { makeTestVolume } from '../test/support/volume.ts';
import { attachTimes } from './lib/attached.ts';
import { baseBackup } from './lib/base-backup.ts';
import type { Bench, BenchContext, Row } from './lib/bench.ts';
import { dataBytes, initialise, startLoad, VERSION } from './lib/pgbench.ts';
import { exclusiveOf, freeBytes, occupied, usage } from './lib/space.ts';
import { median, ratio, seconds, significant } from './lib/stats.ts';

type Fs = 'btrfs' | 'xfs';

const GB = 1024 ** 3;
/** Left on the machine's disk beside the image. */
const SPARE = 8 * GB;
/** The size after which churn is looked at. */
const CHURN_SCALE = 100;
const CHURN_S = 60;
const LONGEST_S = 3600;

export const bench: Bench = {
  summary: 'pgorbit add replica beside pg_basebackup, with TPC-B load on the primary',
  run: async (context) => {
    const scales = context.only.scales?.split(',').map(Number) ?? (context.quick ? [10] : [10, 100, 400]);
    const kinds = (context.only.fs?.split(',') ?? (context.quick ? ['btrfs'] : ['btrfs', 'xfs'])) as Fs[];
    const rows: Row[] = [];
    for (const fs of kinds) {
      for (const scale of scales) {
        const size = volumeSize(scale);
        const free = await freeBytes(tmpdir());
        if (free < size + SPARE) {
          context.say(`skipped: ${fs} at scale ${scale} needs ${Math.ceil((size + SPARE) / GB)} GB of disk, ${Math.floor(free / GB)} are free`);
          continue;
        }
        rows.push(...(await measure(context, fs, scale, size)));
      }
    }
    return { rows, ratios: ratiosOf(rows) };
  },
};

/** The primary, one full copy by pg_basebackup, what churn adds, and WAL. */
function volumeSize(scale: number): number {
  return Math.ceil((dataBytes(scale) * 3.2 + 3 * GB) / GB) * GB;
}

interface Setting {
  context: BenchContext;
  cluster: TestCluster;
  volume: string;
  uri: string;
  /** Columns that every row of this setting has. */
  about: Row;
}

async function measure(context: BenchContext, fs: Fs, scale: number, size: number): Promise<Row[]> {
  const { say, quick } = context;
  const volume = await makeTestVolume({ fs, size });
  const cluster = await TestCluster.open({ volumes: [volume.path] });
  try {
    await cluster.up(sharedManifest({ volume: volume.path, firstPort: cluster.firstPort, version: VERSION, replicas: 0, hosts: 2, recloneAbove: 0, settings: { shared_buffers: '256MB', max_wal_size: '2GB' } }));
    const uri = await cluster.uri();
    say(`${fs}, scale ${scale}: a ${size / GB} GB volume; making the tables`);
    await initialise(uri, scale);
    await onPrimary(uri, 'checkpoint');
    const bytes = await onPrimary(uri, 'select sum(pg_database_size(oid)) from pg_database');
    const setting: Setting = { context, cluster, volume: volume.path, uri, about: { fs, scale, dataBytes: bytes } };
    const load = startLoad(uri, { forSeconds: LONGEST_S });
    const rows: Row[] = [];
    try {
      await sleep(quick ? 1000 : 5000);
      const rounds = Number(context.only.rounds ?? (quick ? 1 : 3));
      for (let round = 1; round <= rounds; round += 1) rows.push(await attach(setting, 'fresh', true), await copy(setting, 'fresh'));
      if (scale === CHURN_SCALE) {
        // A replica that stays, so that every page which the load touches has to leave what is shared.
        rows.push(await attach(setting, 'fresh', false));
        say(`${CHURN_S} s of TPC-B beside a clone`);
        await sleep(CHURN_S * 1000);
        for (let round = 1; round <= rounds; round += 1) rows.push(await attach(setting, 'churned', true), await copy(setting, 'churned'));
      }
    } finally {
      const { tps, errors } = await load.stop();
      say(`the load ran at ${Math.round(tps)} transactions a second${errors.length > 0 ? `, with errors: ${errors[0]}` : ''}`);
    }
    return rows;
  } finally {
    await cluster.destroy();
    await volume.destroy();
  }
}

async function attach({ context, cluster, volume, about }: Setting, state: string, remove: boolean): Promise<Row> {
  const before = await occupied(volume);
  const started = performance.now();
  const { added } = await cluster.must<{ added: string[] }>('add', 'replica');
  const wall = performance.now() - started;
  const [name = ''] = added;
  const times = attachTimes(await cluster.events(), name);
  const newBytes = (await occupied(volume)) - before;
  const ownBytes = exclusiveOf(await usage(cluster), name);
  context.say(`attach: ${times.total} s (checkpoint ${times.checkpoint}, clone ${times.clone}, start and catch-up ${times.start}); the command took ${seconds(wall)} s`);
  if (remove) await cluster.must('remove', name);
  return { ...about, state, way: 'attach', checkpoint: times.checkpoint, clone: times.clone, start: times.start, total: times.total, command: seconds(wall), newBytes, ownBytes };
}

async function copy({ context, cluster, volume, uri, about }: Setting, state: string): Promise<Row> {
  const { secrets } = await cluster.call('GET /v1/secrets', {});
  const [upstream] = targetsOf(uri);
  if (secrets === null || upstream === undefined) throw new Error('the cluster has no accounts yet');
  const before = await occupied(volume);
  const backup = await baseBackup(volume, upstream, secrets.replication);
  const newBytes = (await occupied(volume)) - before;
  await backup.remove();
  const total = seconds(backup.copyMs + backup.startMs);
  context.say(`pg_basebackup: ${total} s (copy ${seconds(backup.copyMs)}, start to streaming ${seconds(backup.startMs)})`);
  return { ...about, state, way: 'pg_basebackup', checkpoint: null, clone: seconds(backup.copyMs), start: seconds(backup.startMs), total, command: null, newBytes, ownBytes: newBytes };
}

async function onPrimary(uri: string, sql: string): Promise<number> {
  const client = await connectToWriter(targetsOf(uri));
  if (client === null) throw new Error('there is no primary');
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return Number(Object.values(rows[0] ?? {})[0] ?? 0);
  } finally {
    await client.end();
  }
}

/** By file system, scale and state: how much faster an attach is, its clone step, and what it occupied of the data. */
function ratiosOf(rows: readonly Row[]): Record<string, number | null> {
  const found: Record<string, number | null> = {};
  for (const { fs, scale, state } of rows) {
    const key = `${fs}_${scale}_${state}`;
    const of = (way: string, column: string): number | null =>
      median(rows.filter((row) => row['fs'] === fs && row['scale'] === scale && row['state'] === state && row['way'] === way).map((row) => Number(row[column])));
    found[`${key}_basebackup_over_attach`] = ratio(of('pg_basebackup', 'total'), of('attach', 'total'));
    found[`${key}_clone_seconds`] = significant(of('attach', 'clone'));
    found[`${key}_own_share`] = ratio(of('attach', 'ownBytes'), of('attach', 'dataBytes'));
    found[`${key}_new_share`] = ratio(of('attach', 'newBytes'), of('attach', 'dataBytes'));
  }
  return found;
}
