/**
 * A standby on storage of its own under TPC-B load: the copy that `pgorbit add standby` makes beside `pg_basebackup -X
 * stream` of the same version, onto the same file system, in turn, after one copy that does not count; each copy is
 * deleted before the next.
 */
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runningAgent } from '../src/agent/pid-file.ts';
import { agentDir } from '../src/home.ts';
import { askMember } from '../test/support/ask.ts';
import { TestCluster } from '../test/support/cluster.ts';
import { targetsOf } from '../test/support/connect.ts';
import { mustRun } from '../test/support/program.ts';
import { attachTimes } from './lib/attached.ts';
import { baseBackup } from './lib/base-backup.ts';
import type { Bench, BenchContext, BenchResult, Row } from './lib/bench.ts';
import { dataBytes, initialise, startLoad, VERSION } from './lib/pgbench.ts';
import { cpuSeconds } from './lib/proc.ts';
import { freeBytes } from './lib/space.ts';
import { median, ratio, seconds, significant } from './lib/stats.ts';

const GB = 1024 ** 3;
/** Left on the machine's disk. */
const SPARE = 8 * GB;
/** WAL of the source, and what the load adds. */
const WAL = 6 * GB;
const GOAL = 0.9;
const LONGEST_S = 3600;

export const bench: Bench = {
  summary: 'pgorbit add standby beside pg_basebackup -X stream, with TPC-B load on the primary',
  run: async (context) => {
    const scales = context.only.scales?.split(',').map(Number) ?? [context.quick ? 20 : 400];
    const rows: Row[] = [];
    for (const scale of scales) {
      const needed = 2 * dataBytes(scale) + WAL + SPARE;
      const free = await freeBytes(tmpdir());
      if (free < needed) context.say(`skipped: scale ${scale} needs ${Math.ceil(needed / GB)} GB of disk, ${Math.floor(free / GB)} are free`);
      else rows.push(...(await measure(context, scale)));
    }
    return summary(rows, scales);
  },
};

interface Setting {
  context: BenchContext;
  cluster: TestCluster;
  uri: string;
  /** Where copies go. */
  folder: string;
  scale: number;
  dataBytes: number;
}

async function measure(context: BenchContext, scale: number): Promise<Row[]> {
  const cluster = await TestCluster.open();
  try {
    const { firstPort: port } = cluster;
    await cluster.up([
      'cluster: bench', `engine: { kind: postgres, version: ${VERSION} }`, `hosts: { h1: { address: 127.0.0.1, port: ${port} }, h2: { address: 127.0.0.1, port: ${port + 1} } }`,
      // No checkpoint within a copy: it would meet some and not others.
      'groups:', '  main:', '    storage: local', '    commit: async', '    settings: { shared_buffers: 256MB, max_wal_size: 4GB, checkpoint_timeout: 1h }',
      '    members:', `      n1: { host: h1, role: primary, port: ${port + 20} }`, '',
    ].join('\n'));
    const uri = await cluster.uri();
    context.say(`scale ${scale}: making the tables`);
    await initialise(uri, scale);
    const folder = join(cluster.folder, 'copies');
    await mkdir(folder, { mode: 0o755 });
    const bytes = Number(await askMember(cluster, 'select sum(pg_database_size(oid)) from pg_database'));
    const setting: Setting = { context, cluster, uri, folder, scale, dataBytes: bytes };
    const load = startLoad(uri, { forSeconds: LONGEST_S });
    const rows: Row[] = [];
    try {
      const rounds = Number(context.only.rounds ?? (context.quick ? 1 : 3));
      // Whoever comes first fills memory that a virtual machine has yet to get from its host, which costs twice the time.
      if (!context.quick) await pgBasebackup(setting);
      for (let round = 1; round <= rounds; round += 1) {
        const ways = round % 2 === 1 ? [standby, pgBasebackup] : [pgBasebackup, standby];
        for (const way of ways) {
          await askMember(cluster, 'checkpoint');
          await mustRun('sync', ['-f', folder]);
          rows.push({ round, ...(await way(setting)) });
        }
      }
    } finally {
      const { tps, errors } = await load.stop();
      context.say(`the load ran at ${Math.round(tps)} transactions a second${errors.length > 0 ? `, with errors: ${errors[0]}` : ''}`);
    }
    return rows;
  } finally {
    await cluster.destroy();
  }
}

async function standby(setting: Setting): Promise<Row> {
  const { cluster, folder } = setting;
  const path = join(folder, 'standby');
  const agent = await runningAgent(agentDir(cluster.home, cluster.name, 'h2'));
  if (agent === null) throw new Error('the agent of h2 does not run');
  const before = cpuSeconds(agent.pid);
  const started = performance.now();
  const { added } = await cluster.must<{ added: string[] }>('add', 'standby', '--host', 'h2', '--path', path);
  const command = seconds(performance.now() - started);
  const cpu = cpuSeconds(agent.pid) - before;
  const [name = ''] = added;
  const times = attachTimes(await cluster.events(), name);
  await cluster.must('remove', name);
  await rm(path, { recursive: true, force: true });
  return rowOf(setting, 'add standby', { copy: times.checkpoint + times.clone, start: times.start, command, cpu });
}

async function pgBasebackup(setting: Setting): Promise<Row> {
  const { cluster, folder, uri } = setting;
  const { secrets } = await cluster.call('GET /v1/secrets', {});
  const [upstream] = targetsOf(uri);
  if (secrets === null || upstream === undefined) throw new Error('the cluster has no accounts yet');
  const { copyMs, startMs, copyCpu, remove } = await baseBackup(folder, upstream, secrets.replication);
  await remove();
  return rowOf(setting, 'pg_basebackup', { copy: seconds(copyMs), start: seconds(startMs), command: null, cpu: copyCpu });
}

/** `copy` is until all is on the disk, the checkpoint before it included; `start` from there to streaming. */
function rowOf({ context, scale, dataBytes: bytes }: Setting, way: string, times: { copy: number; start: number; command: number | null; cpu: number }): Row {
  const rate = bytes / 1e6 / times.copy;
  context.say(`${way}: copied in ${times.copy.toFixed(1)} s, ${rate.toFixed(0)} MB/s, ${times.cpu.toFixed(1)} s of processor time; streams ${times.start.toFixed(1)} s later`);
  return {
    scale, way, dataBytes: bytes, copy: significant(times.copy), megabytesASecond: significant(rate), cpuSecondsAGB: significant((times.cpu * 1e9) / bytes),
    streaming: significant(times.copy + times.start), command: times.command,
  };
}

/** Medians of the rounds, and the median of the rounds' ratios. */
function summary(rows: Row[], scales: readonly number[]): BenchResult {
  const ratios: Record<string, number | null> = {};
  const goals: Row[] = [];
  for (const scale of scales) {
    const of = (way: string, column: string): number[] => rows.filter((row) => row['scale'] === scale && row['way'] === way).map((row) => Number(row[column]));
    const each = (column: string): number | null => {
      const theirs = of('pg_basebackup', column);
      return significant(median(of('add standby', column).map((ours, i) => ratio(ours, theirs[i] ?? null) ?? 0)));
    };
    for (const way of ['add standby', 'pg_basebackup']) {
      for (const column of ['megabytesASecond', 'cpuSecondsAGB', 'streaming']) ratios[`${scale}_${way.replace(' ', '_')}_${column}`] = significant(median(of(way, column)));
    }
    ratios[`${scale}_streaming_over_pg_basebackup`] = each('streaming');
    goals.push({ figure: `rate of the copy over pg_basebackup's, scale ${scale}`, median: each('megabytesASecond'), goal: GOAL });
  }
  return { rows, ratios, goals };
}
