/** 2 replicas, 6, and 2 again under load: no error of a client on the primary, and nothing left over. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../src/lifecycle.ts';
import { TestCluster } from '../test/support/cluster.ts';
import { connectToWriter, targetsOf } from '../test/support/connect.ts';
import { sharedManifest } from '../test/support/manifest.ts';
import { makeTestVolume } from '../test/support/volume.ts';
import { Writer } from '../test/support/writer.ts';
import type { Bench, Row } from './lib/bench.ts';
import { initialise, startLoad, VERSION } from './lib/pgbench.ts';
import { seconds } from './lib/stats.ts';

const GB = 1024 ** 3;
const FEW = 2;
const MANY = 6;
const LONGEST_S = 900;

export const bench: Bench = {
  summary: `${FEW} to ${MANY} to ${FEW} replicas under load`,
  run: async ({ quick, only, say }) => {
    const [fs = 'btrfs'] = (only.fs ?? 'btrfs').split(',') as ('btrfs' | 'xfs')[];
    const volume = await makeTestVolume({ fs, size: 8 * GB });
    const cluster = await TestCluster.open({ volumes: [volume.path] });
    try {
      await cluster.up(sharedManifest({ volume: volume.path, firstPort: cluster.firstPort, version: VERSION, replicas: FEW, recloneAbove: 0 }));
      const uri = await cluster.uri();
      await initialise(uri, quick ? 5 : 50);
      const writer = await Writer.start({ targets: () => targetsOf(uri) });
      const load = startLoad(uri, { forSeconds: LONGEST_S });
      const rows: Row[] = [];
      try {
        const step = async (name: string, work: () => Promise<unknown>): Promise<void> => {
          const from = performance.now();
          await work();
          const to = performance.now();
          const row = { fs, step: name, seconds: seconds(to - from), writes: Math.round(writer.acknowledgements.rate(from, to)), longestGap: seconds(writer.longestGap(from, to).ms), clientErrors: writer.errors.length };
          rows.push(row);
          say(`${name}: ${row.seconds} s, ${row.writes} writes a second, longest gap ${row.longestGap} s`);
        };
        await step(`${FEW} replicas`, () => sleep(quick ? 3000 : 15_000));
        await step(`to ${MANY}`, () => cluster.must('scale', '--replicas', String(MANY)));
        await step(`${MANY} replicas`, () => sleep(quick ? 3000 : 15_000));
        await step(`to ${FEW}`, () => cluster.must('scale', '--replicas', String(FEW)));
        await step(`${FEW} replicas again`, () => sleep(quick ? 3000 : 15_000));
      } finally {
        await writer.stop();
      }
      const { errors, failed } = await load.stop();
      const { missing } = await writer.verify();
      const left = await leftOver(cluster, volume.path, uri);
      say(left.length === 0 ? 'nothing is left over' : `left over: ${left.join('; ')}`);
      for (const error of [...errors, ...writer.errors.map(({ message }) => message)]) say(`client error: ${error}`);
      return { rows, ratios: { client_errors: writer.errors.length + errors.length + failed, acknowledged_missing: missing.length, left_over: left.length } };
    } finally {
      await cluster.destroy();
      await volume.destroy();
    }
  },
};

/** Whatever belongs to a member that is gone, in words. */
async function leftOver(cluster: TestCluster, volume: string, uri: string): Promise<string[]> {
  const { members } = await cluster.group();
  const names = members.map(({ name }) => name);
  const stranger = (name: string): boolean => !names.includes(name);
  const found: string[] = [];

  const client = await connectToWriter(targetsOf(uri));
  if (client === null) throw new Error('there is no primary');
  const slots = await client.query<{ slot_name: string; active: boolean }>('select slot_name, active from pg_replication_slots');
  const senders = await client.query<{ application_name: string }>('select application_name from pg_stat_replication');
  await client.end();
  if (slots.rows.length !== names.length - 1 || slots.rows.some(({ active }) => !active)) found.push(`slots ${slots.rows.map(({ slot_name: slot, active }) => `${slot}${active ? '' : ' (inactive)'}`).join(', ')}`);
  for (const { application_name: name } of senders.rows) if (stranger(name)) found.push(`a WAL sender for ${name}`);

  const { postmasters, cgroups } = await cluster.leftovers();
  const known = Object.values(await cluster.pids());
  for (const { id, dataDir } of postmasters) if (!known.includes(id.pid)) found.push(`postmaster ${id.pid} in ${dataDir}`);
  for (const name of cgroups) if (!names.some((member) => name.endsWith(`-main-${member}`))) found.push(`cgroup ${name}`);

  for (const name of readdirSync(join(volume, cluster.name, 'main'))) if (stranger(name)) found.push(`${name} on the volume`);
  for (const host of readdirSync(join(cluster.home, cluster.name), { withFileTypes: true })) {
    const folder = join(cluster.home, cluster.name, host.name, 'members', 'main');
    for (const name of entries(folder)) if (stranger(name)) found.push(`${name} in the home of ${host.name}`);
  }
  return found;
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // no host's folder, or one without members
  }
}
