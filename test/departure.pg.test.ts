/** A standby that becomes a cluster of its own: in order, and when its old site is lost; and the way back. */
import { readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { adminDir } from '../src/home.ts';
import { askMember } from './support/ask.ts';
import { TestCluster } from './support/cluster.ts';
import { connectTo, drop, targetsOf } from './support/connect.ts';
import { processesOf, signal } from './support/host.ts';
import type { StatusDocument } from '../src/agent/api.ts';
import { EVERYTHING, ONLY_WITH_ALL } from './support/versions.ts';

const WAIT = { timeout: 60_000, interval: 50 };

const manifest = (cluster: TestCluster): string => `
cluster: old
engine: { kind: postgres, version: 15 }
hosts: { h1: 127.0.0.1, h2: 127.0.0.1, h3: 127.0.0.1 }
volumes: { main: ${JSON.stringify(cluster.volume)} }
groups:
  main:
    storage: shared
    volume: main
    settings: { shared_buffers: 32MB }
    members:
      n1: { host: h1, role: primary, port: ${cluster.firstPort} }
      n2: { host: h2, role: replica, port: ${cluster.firstPort + 1} }
      s1: { host: h3, role: standby, port: ${cluster.firstPort + 2} }
`;

interface Promoted {
  cluster: string;
  recoveryPoint: { timeline: number; lsn: string; time: string | null };
  forgotten: boolean;
}

/** The first value of a statement on a cluster of the test's home. */
async function ask(cluster: TestCluster, name: string, sql: string): Promise<string> {
  const { uri } = await cluster.must<{ uri: string }>('uri', '--cluster', name);
  const client = await connectTo(targetsOf(uri)[0]!);
  try {
    return String((await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows[0]?.[0]);
  } finally {
    drop(client);
  }
}

/** What a host runs dies at once: its agent, and the servers of its members. */
async function lose(cluster: TestCluster, hosts: readonly string[]): Promise<void> {
  signal((await Promise.all(hosts.map((host) => processesOf(cluster, host)))).flat(), 'SIGKILL');
}

describe.skipIf(!EVERYTHING)(`a standby in order${EVERYTHING ? '' : ` (${ONLY_WITH_ALL})`}`, () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.open();
    await cluster.up(manifest(cluster));
    await askMember(cluster, 'create table t (a int); insert into t values (1), (2)');
  });
  afterAll(() => cluster?.destroy());

  test('is rehearsed on a copy, which leaves nothing', async () => {
    await expect.poll(() => askMember(cluster, 'select count(*) from t', 's1').catch(String), WAIT).toBe('2');
    const before = await cluster.pids();
    const drilled = await cluster.must<{ passed: boolean; how: string; point: { timeline: number }; checks: { ok: boolean; message: string }[] }>(
      'drill', 's1', '-c', 'select count(*) = 2 from t', '-c', 'insert into t values (7); select count(*) from t');
    expect(drilled).toMatchObject({ passed: true, how: 'copy', point: { timeline: 2 }, checks: [{ ok: true, message: 'true' }, { ok: true, message: '3' }] });
    const failed = await cluster.cli('drill', 's1', '-c', 'select count(*) = 99 from t', '-c', 'select 1 / 0', '--json');
    expect(failed.code).toBe(1);
    expect(failed.json).toMatchObject({ passed: false, checks: [{ ok: false, message: 'false' }, { ok: false, message: expect.stringContaining('division by zero') }] });
    expect(await readdir(join(cluster.home, 'old', 'h3', 'members', 'main', 's1'))).not.toContain('storage.drill');
    expect(await cluster.pids()).toEqual(before);
    expect(await askMember(cluster, 'select count(*) from t')).toBe('2');
  });

  test('becomes a cluster of its own, and the old one goes on without it', async () => {
    await expect.poll(() => askMember(cluster, 'select count(*) from t', 's1').catch(String), WAIT).toBe('2');
    const promoted = await cluster.must<Promoted>('promote', 's1', '--as', 'dr');
    expect(promoted).toMatchObject({ cluster: 'dr', forgotten: true, recoveryPoint: { timeline: 1, lsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/), time: expect.stringMatching(/^20\d\d-/) } });
    await ask(cluster, 'dr', 'insert into t values (3)');
    expect(await ask(cluster, 'dr', 'select count(*) from t')).toBe('3');
    expect(await ask(cluster, 'old', 'select count(*) from t')).toBe('2');
    const old = await cluster.must<StatusDocument>('status', '--cluster', 'old');
    expect(old.groups[0]).toMatchObject({ state: 'healthy', members: [{ name: 'n1' }, { name: 'n2' }] });
    expect(await ask(cluster, 'old', "select string_agg(slot_name, ' ') from pg_replication_slots")).toBe('pgorbit_n2');
    const marker = JSON.parse(await readFile(join(cluster.home, 'dr', 'h3', 'members', 'main', 's1', 'storage', 'pgorbit.json'), 'utf8')) as { cluster: string };
    expect(marker.cluster).toBe('dr');
  });

  test('grows a replica there, whose name the old cluster may use again', async () => {
    await cluster.must('add', 'replica', '--cluster', 'dr', '--name', 'r1');
    await cluster.must('add', 'standby', '--cluster', 'old', '--name', 's1', '--host', 'h3');
    expect(await ask(cluster, 'old', 'select count(*) from pg_stat_replication')).toBe('2');
    expect(await ask(cluster, 'dr', 'select count(*) from pg_stat_replication')).toBe('1');
  });

  test('leaves nothing that a destroyed old cluster would take along', async () => {
    await cluster.must('destroy', '--yes', '--cluster', 'old');
    expect(await ask(cluster, 'dr', 'select count(*) from t')).toBe('3');
    await cluster.must('down', '--cluster', 'dr');
    await cluster.must('up', '--cluster', 'dr');
    expect(await ask(cluster, 'dr', 'select count(*) from t')).toBe('3');
  });
});

describe.skipIf(!EVERYTHING)(`a standby whose site is lost${EVERYTHING ? '' : ` (${ONLY_WITH_ALL})`}`, () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.open();
    await cluster.up(manifest(cluster));
    await askMember(cluster, 'create table t (a int); insert into t values (1), (2)');
  });
  afterAll(() => cluster?.destroy());

  test('is promoted from its own host alone, by force', async () => {
    await expect.poll(() => askMember(cluster, 'select count(*) from t', 's1').catch(String), WAIT).toBe('2');
    await lose(cluster, ['h1', 'h2']);
    // As on a machine that holds nothing but the host's agent.
    await rename(adminDir(cluster.home, 'old'), join(cluster.folder, 'admin'));
    const refused = await cluster.cli('promote', 's1', '--as', 'dr');
    expect(refused).toMatchObject({ code: 3, stderr: expect.stringContaining('pgorbit promote s1 --as dr --force') });
    const promoted = await cluster.must<Promoted>('promote', 's1', '--as', 'dr', '--force');
    expect(promoted).toMatchObject({ cluster: 'dr', forgotten: false, recoveryPoint: { timeline: 1 } });
    expect(await ask(cluster, 'dr', 'select count(*) from t')).toBe('2');
    await ask(cluster, 'dr', 'insert into t values (3)');
    await rename(join(cluster.folder, 'admin'), adminDir(cluster.home, 'old'));
  });

  test('is not taken back by the old cluster when that returns, which can forget it', async () => {
    const up = cluster.start(['up', '--cluster', 'old', '--timeout', '25s']);
    expect(await up.ended).toMatchObject({ code: 4, stderr: expect.stringContaining('s1 left this cluster') });
    await cluster.must('remove', 's1', '--cluster', 'old');
    expect((await cluster.must<StatusDocument>('status', '--cluster', 'old')).groups[0]).toMatchObject({ state: 'healthy', members: [{ name: 'n1' }, { name: 'n2' }] });
    expect(await ask(cluster, 'dr', 'select count(*) from t')).toBe('3');
  });

  test('has the old site as its standby afterwards: what that wrote alone is taken back', async () => {
    await ask(cluster, 'old', 'insert into t values (100)');
    const running = await cluster.cli('standby', 'follow', 'old', '--cluster', 'dr', '--json');
    expect(running).toMatchObject({ code: 3, stderr: expect.stringContaining('pgorbit down --cluster old') });
    await cluster.must('down', '--cluster', 'old');
    const { standby } = await cluster.must<{ standby: string }>('standby', 'follow', 'old', '--cluster', 'dr');
    await ask(cluster, 'dr', 'insert into t values (4)');
    const status = await cluster.must<StatusDocument>('status', '--cluster', 'dr');
    expect(status.groups[0]).toMatchObject({ state: 'healthy', members: [{ name: 's1', role: 'primary' }, { name: standby, role: 'standby', state: 'streaming' }] });
    const { uri } = await cluster.must<{ uri: string }>('uri', '--cluster', 'dr', '--member', standby);
    const client = await connectTo(targetsOf(uri)[0]!);
    try {
      await expect.poll(async () => (await client.query<{ all: string }>("select string_agg(a::text, ' ' order by a) as all from t")).rows[0]?.all, WAIT).toBe('1 2 3 4');
    } finally {
      drop(client);
    }
    const events = await cluster.must<{ kind: string; member?: string }[]>('events', '--cluster', 'dr');
    expect(events.filter((event) => event.member === standby).map((event) => event.kind)).toContain('rewound');
  });
});
