/** Backups of a shared group, WAL archived across a failover, and clusters made of them, as a person does it. */
import { closeSync, existsSync, openSync, readFileSync, readSync, readdirSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StatusDocument } from '../src/agent/api.ts';
import { sleep } from '../src/lifecycle.ts';
import { command } from '../src/wal/testing/postgres.ts';
import { TestCluster } from './support/cluster.ts';
import { sharedManifest } from './support/manifest.ts';
import type { Running } from './support/program.ts';
import { EVERYTHING, ONLY_WITH_ALL } from './support/versions.ts';

const VERIFY = '/usr/lib/postgresql/15/bin/pg_verifybackup';

interface Taken {
  path: string;
  data: string;
  backup: { label: string; source: string; stopLsn: string };
}

describe.skipIf(!EVERYTHING).each([18, 15])(`${EVERYTHING ? '' : `(${ONLY_WITH_ALL}) `}backups of PostgreSQL %i`, (version) => {
  let cluster: TestCluster;
  let repository: string;
  let archiver: Running;
  let rows = 0;
  const moments: Record<string, { target: string; rows: number }> = {};

  beforeAll(async () => {
    cluster = await TestCluster.open();
    await cluster.up(sharedManifest({ volume: cluster.volume, version, firstPort: cluster.firstPort, settings: { shared_buffers: '32MB', wal_keep_size: '64MB' } }));
    repository = join(cluster.folder, 'backups');
  });
  afterAll(async () => {
    await archiver?.stop();
    await cluster?.destroy();
  });

  /** The rows of one statement on the primary, as text. */
  async function ask(sql: string, of = 'test'): Promise<(string | null)[][]> {
    const { results } = await cluster.must<{ results: { rows: (string | null)[][] }[] }>('sql', '--cluster', of, '-c', sql);
    return results[0]!.rows;
  }

  async function write(): Promise<void> {
    for (let i = 0; i < 4; i++) await ask(`insert into t values (${++rows})`);
  }

  async function mark(name: string): Promise<void> {
    const [[target]] = (await ask("select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z'")) as [[string]];
    moments[name] = { target, rows };
  }

  /** Waits until the archive has what the primary has flushed now. */
  async function archived(): Promise<void> {
    const [[name]] = (await ask('select pg_walfile_name(pg_switch_wal())')) as [[string]];
    const system = readdirSync(repository).find((one) => one.startsWith('test-'));
    while (!existsSync(join(repository, system!, 'wal', name))) await sleep(50);
  }

  test('is taken from the primary and from a replica, while WAL is archived', async () => {
    await cluster.must('sql', '-c', 'create table t (n int)');
    archiver = cluster.start(['backup', 'archive', '--to', repository], { timeoutMs: 900_000 });
    const taken = await cluster.must<Taken>('backup', '--to', repository);
    expect(taken.backup.source).toBe('n1');
    const other = await cluster.must<Taken>('backup', '--to', repository, '--source', 'replica', '--rate', '500MB');
    expect(['n2', 'n3']).toContain(other.backup.source);
    for (const { data } of [taken, other]) {
      if (version === 15) expect(await command(VERIFY, [data])).toContain('successfully verified');
      expect(existsSync(join(data, 'standby.signal'))).toBe(false);
    }
    for (const { backup } of [taken, other]) expect(await cluster.must('backup', 'verify', backup.label, '--from', repository)).toMatchObject({ sound: true, problems: [] });
    expect(await cluster.must('backup', 'ls', '--from', repository)).toMatchObject({ backups: [{ label: taken.backup.label }, { label: other.backup.label }], damaged: [] });
  });

  test('goes on through a failover', async () => {
    await write();
    await mark('before');
    await write();
    await archived();
    const before = (await cluster.primary()).name;
    await cluster.kill(before);
    await expect.poll(async () => (await cluster.group()).primary ?? before, { timeout: 60_000 }).not.toBe(before);
    await cluster.waitHealthy({ members: 3 });
    await write();
    await mark('after');
    await write();
    await archived();
    expect(await ask("select slot_name from pg_replication_slots where slot_name like 'backup%' and active")).toHaveLength(1);
  });

  test.each(['before', 'after'])('a cluster as of the moment "%s" the failover runs and has exactly what was committed', async (name) => {
    const { target, rows: expected } = moments[name]!;
    const as = `past-${name}`;
    const restored = await cluster.must<{ status: StatusDocument }>('restore', '--cluster', 'test', '--from', repository, '--as', as, '--to', target, '--port', String(cluster.firstPort + (name === 'before' ? 30 : 31)));
    expect(restored.status.groups).toMatchObject([{ state: 'healthy', members: [{ name: 'n1', role: 'primary', state: 'running' }] }]);
    expect(await ask('select count(*), max(n) from t', as)).toEqual([[String(expected), String(expected)]]);
    await ask('insert into t values (-1)', as);
    expect(await ask('show shared_buffers', as)).toEqual([['32MB']]);
    expect(await cluster.cli('restore', '--cluster', 'test', '--from', repository, '--as', as)).toMatchObject({ code: 3, stderr: expect.stringContaining(`there is a cluster ${as} already`) });
    await cluster.must('destroy', '--cluster', as, '--yes');
  });

  test('a restore that is killed leaves no cluster, and the next one succeeds with all there is', async () => {
    const args = ['restore', '--cluster', 'test', '--from', repository, '--as', 'latest', '--port', String(cluster.firstPort + 32)];
    const killed = cluster.start(args);
    const log = join(cluster.home, 'latest', 'h1', 'members', 'main', 'n1', 'log', 'postgresql.log');
    while (!existsSync(log)) await sleep(5);
    await killed.stop('SIGKILL');
    expect(await cluster.cli('--cluster', 'latest', 'up')).toMatchObject({ code: 3, stderr: expect.stringContaining('half restored') });
    await cluster.must(...args);
    expect(await ask('select count(*) from t', 'latest')).toEqual([[String(rows)]]);
    await cluster.must('--cluster', 'latest', 'add', 'replica', '--port', String(cluster.firstPort + 33));
    expect(await cluster.must<StatusDocument>('status', '--cluster', 'latest')).toMatchObject({ groups: [{ state: 'healthy', members: [{ role: 'primary' }, { role: 'replica', state: 'streaming' }] }] });
    await cluster.must('destroy', '--cluster', 'latest', '--yes');
  });

  test('a flipped bit is found, named, and never restored', async () => {
    const { backups } = await cluster.must<{ backups: { label: string }[] }>('backup', 'ls', '--from', repository);
    const { label } = backups.at(-1)!;
    const system = readdirSync(repository).find((one) => one.startsWith('test-'));
    const folder = join(repository, system!, 'backups', label, 'data', 'global');
    const file = join(folder, readdirSync(folder).find((name) => /^\d+$/.test(name) && statSync(join(folder, name)).size > 0)!);
    const whole = readFileSync(file);
    const fd = openSync(file, 'r+');
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, 77);
    byte[0]! ^= 4;
    writeSync(fd, byte, 0, 1, 77);
    closeSync(fd);
    const told = { code: 3, stderr: expect.stringContaining(`global/${file.slice(folder.length + 1)}`) as string };
    expect(await cluster.cli('backup', 'verify', '--from', repository)).toMatchObject(told);
    expect(await cluster.cli('restore', '--cluster', 'test', '--from', repository, '--as', 'never')).toMatchObject(told);
    expect(existsSync(join(cluster.home, 'never'))).toBe(false);
    writeFileSync(file, whole);
    expect(await cluster.must('backup', 'verify', '--from', repository)).toMatchObject({ sound: true });
  });

  test('keeps as many as it is told, and leaves no slot when it is to archive no longer', async () => {
    const { backups } = await cluster.must<{ backups: { label: string }[] }>('backup', 'ls', '--from', repository);
    expect(await cluster.must('backup', 'rm', '--keep', '1', '--from', repository)).toMatchObject({ backups: [backups[0]!.label] });
    expect(await cluster.must('backup', 'verify', '--from', repository)).toMatchObject({ sound: true });
    await archiver.stop();
    const { members } = await cluster.must<{ members: string[] }>('backup', 'archive', '--forget', '--to', repository);
    expect(members).toEqual([(await cluster.primary()).name]);
    expect(await ask("select from pg_replication_slots where slot_name like 'backup%'")).toEqual([]);
  });

  test.runIf(version >= 17)('an incremental backup holds what changed, and is restored with what it builds on', async () => {
    expect(await cluster.cli('backup', '--incremental', '--to', repository)).toMatchObject({ code: 2, stderr: expect.stringContaining('pgorbit set summarize_wal=on') });
    await cluster.must('set', 'summarize_wal=on');
    const full = await cluster.must<Taken>('backup', '--to', repository);
    await write();
    await cluster.must('backup', '--incremental', '--to', repository);
    await write();
    const last = await cluster.must<Taken>('backup', '--incremental', '--to', repository);
    const { backups } = await cluster.must<{ backups: { label: string; bytes: number; lineage: string[] }[] }>('backup', 'ls', '--from', repository);
    const [, , between] = backups.map(({ label }) => label);
    expect(backups.at(-1)).toMatchObject({ label: last.backup.label, lineage: [full.backup.label, between, last.backup.label] });
    expect(backups.at(-1)!.bytes).toBeLessThan(backups.at(-3)!.bytes / 2);
    expect(await cluster.must('backup', '--incremental', '--from', full.backup.label, '--to', repository)).toMatchObject({ backup: { parent: { label: full.backup.label } } });
    expect(await cluster.must('backup', 'verify', last.backup.label, '--from', repository)).toMatchObject({ sound: true, lineage: [full.backup.label, between, last.backup.label] });
    expect(await cluster.cli('backup', 'rm', full.backup.label, '--from', repository)).toMatchObject({ code: 3, stderr: expect.stringContaining('build on it') });
    expect(await cluster.cli('backup', 'rm', '--keep', '2', '--from', repository)).toMatchObject({ code: 0, stderr: expect.stringContaining(`${full.backup.label} stays`) });
    await cluster.must('restore', last.backup.label, '--cluster', 'test', '--from', repository, '--as', 'parts', '--port', String(cluster.firstPort + 34));
    expect(await ask('select count(*), max(n) from t', 'parts')).toEqual([[String(rows), String(rows)]]);
    await cluster.must('destroy', '--cluster', 'parts', '--yes');
  });

  test.runIf(version < 17)('refuses an incremental backup, which PostgreSQL does not make yet', async () => {
    expect(await cluster.cli('backup', '--incremental', '--to', repository)).toMatchObject({ code: 2, stderr: expect.stringContaining('incremental backups begin with 17') });
  });
});
