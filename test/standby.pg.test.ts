/** Standbys: copies of a group on storage of its own, what becomes of one that is interrupted, and where its WAL comes from. */
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MemberStatus } from '../src/agent/api.ts';
import { askMember } from './support/ask.ts';
import { cleanUpWith } from './support/cleanup.ts';
import { TestCluster } from './support/cluster.ts';
import { sharedManifest } from './support/manifest.ts';
import { mustRun } from './support/program.ts';

const WAIT = { timeout: 60_000, interval: 50 };
/** Slow enough that there is time to interrupt the copy of an empty system, which has some 25 MB. */
const SLOWLY = ['--rate', '4MB'];
const asRoot = process.getuid?.() === 0;

/** The status once `when` holds of it. */
async function reaches(cluster: TestCluster, name: string, when: (member: MemberStatus) => boolean): Promise<MemberStatus> {
  let found: MemberStatus | undefined;
  await expect.poll(async () => {
    found = await cluster.member(name).catch(() => undefined);
    return found !== undefined && when(found);
  }, WAIT).toBe(true);
  return found!;
}
const copies = (member: MemberStatus): boolean => /^copying .* MB \(\d+ %\)/.test(member.step ?? '');
const incarnationOf = async (dir: string): Promise<number> => (JSON.parse(await readFile(join(dir, 'pgorbit.json'), 'utf8')) as { incarnation: number }).incarnation;

describe("a standby of a quorum group whose WAL comes from the logger", () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await TestCluster.open();
    await cluster.up(`
cluster: three
engine: { kind: postgres, version: 18 }
hosts: { h1: 127.0.0.1, h2: 127.0.0.1, h3: 127.0.0.1 }
groups:
  main:
    storage: local
    commit: quorum
    settings: { shared_buffers: 32MB }
    members:
      n1: { host: h1, role: primary, port: ${cluster.firstPort} }
      n2: { host: h2, role: replica, port: ${cluster.firstPort + 1} }
      l1: { host: h3, role: logger, port: ${cluster.firstPort + 2} }
      s1: { host: h3, role: standby, port: ${cluster.firstPort + 3}, source: logger }
`);
    await askMember(cluster, 'create table t (a int); insert into t values (1)');
  });
  afterAll(() => cluster?.destroy());

  const count = (member?: string): Promise<string | null> => askMember(cluster, 'select count(*) from t', member).catch(String);

  test('streams from it, with a slot there and none on the primary', async () => {
    await reaches(cluster, 's1', (one) => one.upstream === 'l1' && one.state === 'streaming');
    await expect.poll(() => count('s1'), WAIT).toBe('1');
    expect(await askMember(cluster, "select string_agg(slot_name, ' ' order by slot_name) from pg_replication_slots")).toBe('pgorbit_l1 pgorbit_n2');
  });

  test('goes on through a failover, and through the death of the logger', async () => {
    await cluster.kill('n1');
    await cluster.waitHealthy();
    expect((await cluster.group()).primary).toBe('n2');
    await askMember(cluster, 'insert into t values (2)');
    await expect.poll(() => count('s1'), WAIT).toBe('2');
    await cluster.must('remove', 'l1');
    await askMember(cluster, 'insert into t values (3)');
    await expect.poll(() => count('s1'), WAIT).toBe('3');
    expect((await cluster.member('s1')).upstream).toBe('n2');
  });
});

describe('a standby of a shared group', () => {
  let cluster: TestCluster;
  const far = (name: string): string => join(cluster.folder, 'far', name);

  beforeAll(async () => {
    cluster = await TestCluster.open();
    await mkdir(join(cluster.folder, 'far'), { mode: 0o755 });
    await cluster.up(sharedManifest({
      cluster: 'site', volume: cluster.volume, firstPort: cluster.firstPort, version: 15,
      settings: { shared_buffers: '32MB', wal_keep_size: '16MB', max_slot_wal_keep_size: '32MB' },
    }));
    await askMember(cluster, 'create table t (t1 int primary key, t2 int); insert into t values (1, 1), (2, 3), (3, 3)');
  });
  afterAll(() => cluster?.destroy());

  const rows = (member: string): Promise<unknown> => askMember(cluster, "select string_agg(t1 || ':' || t2, ' ' order by t1) from t", member).catch(String);
  /** A row that is written now comes to the standby. */
  async function follows(name: string): Promise<void> {
    await cluster.waitHealthy();
    await askMember(cluster, 'insert into t select max(t1) + 1, 0 from t');
    const all = await askMember(cluster, "select string_agg(t1 || ':' || t2, ' ' order by t1) from t");
    await expect.poll(() => rows(name), WAIT).toBe(all);
  }
  /** Begins to add a standby, and returns when its copy is under way. */
  async function begin(name: string, ...options: string[]): Promise<ReturnType<TestCluster['start']>> {
    const command = cluster.start(['add', 'standby', '--name', name, '--path', far(name), ...SLOWLY, ...options]);
    await reaches(cluster, name, copies);
    return command;
  }

  test('has what is written on the primary, on other storage, with a slot of its own', async () => {
    const added = await cluster.must<{ added: string[] }>('add', 'standby', '--name', 's1', '--from', 'main', '--path', far('s1'));
    expect(added.added).toEqual(['s1']);
    expect(await rows('s1')).toBe('1:1 2:3 3:3');
    await follows('s1');
    expect(await incarnationOf(far('s1'))).toBeGreaterThan(0);
    expect(await askMember(cluster, "select active from pg_replication_slots where slot_name = 'pgorbit_s1'")).toBe('true');
    const status = await reaches(cluster, 's1', (one) => one.retainedBytes !== null && one.lagMs !== null);
    expect(status).toMatchObject({ role: 'standby', state: 'streaming', upstream: 'n1', lagBytes: expect.any(Number), voter: false });
    expect((await cluster.cli('status')).stdout).toMatch(/holds back/i);
  });

  test('copies a replica and streams from it; another standby streams from the first', async () => {
    await cluster.must('add', 'standby', '--name', 's2', '--host', 'h1', '--path', far('s2'), '--source', 'n2');
    await cluster.must('add', 'standby', '--name', 's3', '--path', far('s3'), '--source', 's1');
    await follows('s2');
    await follows('s3');
    expect([(await cluster.member('s2')).upstream, (await cluster.member('s3')).upstream]).toEqual(['n2', 's1']);
    expect(await askMember(cluster, "select string_agg(slot_name, ' ' order by slot_name) from pg_replication_slots")).toBe('pgorbit_n2 pgorbit_n3 pgorbit_s1');
    expect(await askMember(cluster, "select string_agg(slot_name, ' ') from pg_replication_slots where active", 'n2')).toBe('pgorbit_s2');
    expect(await askMember(cluster, "select string_agg(slot_name, ' ') from pg_replication_slots where active", 's1')).toBe('pgorbit_s3');
  });

  test('turns to the primary while its source is away', async () => {
    await cluster.killAgent('h2');
    await cluster.kill('n2');
    await reaches(cluster, 's2', (one) => one.upstream === 'n1' && one.state === 'streaming');
    await cluster.must('up');
    await follows('s2');
    await reaches(cluster, 's2', (one) => one.upstream === 'n2' && one.state === 'streaming');
    await cluster.must('remove', 's2', 's3');
  });

  test('is copied anew when the connection drops in the middle', async () => {
    const command = await begin('s4');
    await askMember(cluster, "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 's4%base backup'");
    expect(await command.ended).toMatchObject({ code: 0 });
    expect((await cluster.events()).some((event) => event.member === 's4' && event.kind === 'member-error')).toBe(true);
    await follows('s4');
    await cluster.must('remove', 's4');
  });

  test('is copied from another when its source dies in the middle', async () => {
    const command = await begin('s5', '--source', 'replica');
    const { upstream } = await cluster.member('s5');
    await cluster.kill(upstream ?? '');
    expect(await command.ended).toMatchObject({ code: 0 });
    await follows('s5');
    await cluster.must('remove', 's5');
  });

  test('is nobody\'s data while it is half made, and made whole after its agent was killed', async () => {
    const command = await begin('s6', '--host', 'h3');
    await cluster.killAgent('h3');
    expect(await incarnationOf(far('s6'))).toBe(0);
    await command.stop('SIGINT');
    await cluster.must('up');
    await follows('s6');
    expect(await incarnationOf(far('s6'))).toBeGreaterThan(0);
    await cluster.must('remove', 's6');
  });

  test.skipIf(!asRoot)('says that its disk is full, and is made whole when there is room', async () => {
    const small = join(cluster.folder, 'small');
    await mkdir(small, { mode: 0o755 });
    await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=20m,mode=0755', 'tmpfs', small]);
    const unmount = cleanUpWith(async () => void (await mustRun('umount', ['-l', small])));
    try {
      const command = cluster.start(['add', 'standby', '--name', 's7', '--path', join(small, 's7')]);
      const full = await reaches(cluster, 's7', (one) => one.error?.code === 'volume-full');
      expect(full.pid).toBeNull();
      expect(full.error?.message).toContain(small);
      await mustRun('mount', ['-o', 'remount,size=400m', small]);
      expect(await command.ended).toMatchObject({ code: 0 });
      await follows('s7');
      await cluster.must('remove', 's7');
    } finally {
      await unmount();
    }
  });

  test('is made anew by itself when the WAL that it lacks is gone', async () => {
    await cluster.must('add', 'standby', '--name', 's8', '--host', 'h3', '--path', far('s8'));
    const made = (await stat(join(far('s8'), 'data'))).ino;
    const slot = (): Promise<string | null> => askMember(cluster, "select restart_lsn from pg_replication_slots where slot_name = 'pgorbit_s8'");
    await cluster.killAgent('h3');
    await cluster.kill('s8');
    const held = await slot();
    for (let i = 0; i < 8; i += 1) await askMember(cluster, 'insert into t select max(t1) + 1, 0 from t; select pg_switch_wal()');
    await askMember(cluster, 'checkpoint');
    // Lost at the checkpoint, and made anew for what is written from then on.
    await expect.poll(slot, WAIT).not.toBe(held);
    await cluster.must('up');
    await follows('s8');
    expect((await stat(join(far('s8'), 'data'))).ino).not.toBe(made);
  });

  test('is copied anew by command', async () => {
    const before = await incarnationOf(far('s8'));
    await cluster.must('standby', 'rebuild', 's8');
    await follows('s8');
    expect(await incarnationOf(far('s8'))).toBeGreaterThan(before);
  });
});
