/** A cluster's whole life, by the built CLI alone: what design.md and docs/cli.md promise of each command. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GroupStatus, StatusDocument, VolumeStatus } from '../src/agent/api.ts';
import { findPort } from '../src/agent/ports.ts';
import type { OrbitEvent } from '../src/observe/event.ts';
import { askMember } from './support/ask.ts';
import { TestCluster } from './support/cluster.ts';
import { connectTo, drop, targetsOf } from './support/connect.ts';
import { describeLeftovers } from './support/leftovers.ts';
import { runProgram } from './support/program.ts';
import { SCENES, sceneManifest, whyNotHere, type Scene } from './support/scenes.ts';
import { EVERYTHING } from './support/versions.ts';

const LSN = /^[0-9A-F]+\/[0-9A-F]+$/;
const LOCAL = '127.0.0.1';

for (const scene of EVERYTHING ? Object.values(SCENES) : [SCENES.btrfs, SCENES.xfs]) {
  const reason = await whyNotHere(scene);
  describe.skipIf(reason !== null)(`${scene.what}${reason === null ? '' : ` (skipped: ${reason})`}`, () => life(scene));
}

function life(scene: Scene): void {
  let cluster: TestCluster;
  let manifest: string;

  beforeAll(async () => {
    cluster = await TestCluster.open();
    manifest = sceneManifest(cluster, scene, { settings: { shared_buffers: '32MB' } });
  });
  afterAll(() => cluster?.destroy());

  const nameOf = (group: GroupStatus): string[] => group.members.map((member) => member.name).sort();
  const folderOf = (member: string): string => join(cluster.volume, 'test', 'main', member);
  /** One statement's first value as text, on the primary or on a member. */
  const ask = (sql: string, member?: string): Promise<string | null> => askMember(cluster, sql, member);
  const slots = async (): Promise<string> => (await ask("select coalesce(string_agg(slot_name, ',' order by slot_name), '') from pg_replication_slots")) ?? '';

  test('up brings it up, says each step, and prints no password', async () => {
    await cluster.up(manifest);
    const again = await cluster.cli('up', join(cluster.folder, 'work', 'manifest.yaml'));
    expect(again).toMatchObject({ code: 0 });
    expect(again.stdout).toContain('healthy');
    expect(again.stdout).not.toMatch(/postgres:[^@/]+@/);
  });

  test('up again changes nothing', async () => {
    const before = { pids: await cluster.pids(), manifest: await cluster.call('GET /v1/cluster', {}) };
    const { changes } = await cluster.must<{ changes: unknown[] }>('up', join(cluster.folder, 'work', 'manifest.yaml'));
    expect(changes).toEqual([]);
    // Without an argument it is the cluster that is here.
    await cluster.must('up');
    expect({ pids: await cluster.pids(), manifest: await cluster.call('GET /v1/cluster', {}) }).toEqual(before);
  });

  test('status --json keeps the contract of design.md 11', async () => {
    const { stdout, stderr } = await cluster.cli('status', '--json');
    expect(stderr).toBe('');
    const status = JSON.parse(stdout) as StatusDocument;
    const agent = (host: string): object => expect.objectContaining({ host, address: LOCAL, port: expect.any(Number), pid: expect.any(Number) });
    expect(status.cluster).toBe('test');
    expect(status.agents).toEqual(['h1', 'h2', 'h3'].map(agent));
    expect(status.agents.map(({ state }) => state).sort(), 'any of them may lead').toEqual(['follower', 'follower', 'leader']);
    for (const { pid } of status.agents) expect(existsSync(`/proc/${pid}`)).toBe(true);
    expect(status.groups).toHaveLength(1);
    expect(status.groups[0]).toMatchObject({ name: 'main', storage: 'shared', commit: 'async', term: 1, primary: 'n1', state: 'healthy', reason: '' });
    const member = (name: string, host: string): object => {
      const [role, state] = name === 'n1' ? ['primary', 'running'] : ['replica', 'streaming'];
      return expect.objectContaining({
        name, role, host, address: LOCAL, port: expect.any(Number), pid: expect.any(Number), state, timeline: 1,
        lsn: expect.stringMatching(LSN), lagBytes: expect.any(Number), lagMs: expect.any(Number), synchronous: false,
      });
    };
    expect(status.groups[0]?.members).toEqual([member('n1', 'h1'), member('n2', 'h2'), member('n3', 'h3')]);
    expect(status.volumes).toEqual([expect.objectContaining({
      name: 'main', driver: scene.driver, path: cluster.volume, members: expect.any(Array),
      bytes: expect.objectContaining({ total: expect.any(Number), free: expect.any(Number), shared: expect.any(Number) }),
    })]);
    const dataOf = (members: VolumeStatus['members']): string[] => members.filter(({ logical }) => logical > 30_000_000).map(({ name }) => name);
    await expect.poll(async () => dataOf((await cluster.call('GET /v1/status', {})).volumes[0]?.members ?? []), { message: 'what was measured in the midst of `up` is not kept' }).toEqual(['n1', 'n2', 'n3']);
    expect(status.endpoints).toEqual({ rw: expect.stringContaining('read-write'), ro: expect.stringContaining('prefer-standby'), split: null });
  });

  test('the pid in status is the postmaster, whose data directory lies on the volume', async () => {
    for (const [name, pid] of Object.entries(await cluster.pids())) {
      expect(await ask('select current_setting($$data_directory$$)', name)).toBe(join(folderOf(name), 'data'));
      expect(statSync(`/proc/${pid}`).uid, 'never root').not.toBe(0);
    }
    expect(await ask('show data_checksums')).toBe('on');
    expect(await ask('show password_encryption')).toBe('scram-sha-256');
    expect(Number(await ask("select current_setting('server_version_num')::int / 10000"))).toBe(scene.version);
  });

  test('sql writes on the primary and reads on a replica', async () => {
    await cluster.must('sql', '-c', "create table t (id int primary key, note text); insert into t values (1, 'één')");
    await expect.poll(() => ask('select note from t', 'n2').catch(() => null)).toBe('één');
    const refused = await cluster.cli('sql', '--member', 'n2', '-c', 'insert into t values (2)');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('leave out --member');
    expect((await cluster.cli('sql', '-c', 'select 1/0', '--json')).json).toMatchObject({ error: { code: 'operation-failed', message: expect.stringContaining('division by zero') } });
    const piped = await cluster.start(['sql', '--json'], { input: "select 'a;b';\nselect 2" }).ended;
    expect(JSON.parse(piped.stdout)).toMatchObject({ results: [{ rows: [['a;b']] }, { rows: [['2']] }] });
  });

  test.skipIf(!existsSync('/usr/bin/psql'))('psql, and any libpq with the printed URIs', async () => {
    const inside = await cluster.cli('psql', '--', '-Atc', 'select count(*) from t');
    expect(inside).toMatchObject({ code: 0, stdout: '1\n' });
    expect((await cluster.cli('psql', '--member', 'n3', '--', '-Atc', 'select pg_is_in_recovery()')).stdout).toBe('t\n');
    const recovery = async (uri: string): Promise<string> => (await runProgram('psql', [uri, '-XAtc', 'select pg_is_in_recovery()'])).stdout.trim();
    expect(await recovery(await cluster.uri())).toBe('f');
    expect(await recovery(await cluster.uri('--endpoint', 'rw'))).toBe('f');
    expect(await recovery(await cluster.uri('--endpoint', 'ro'))).toBe('t');
    expect(await recovery(await cluster.uri('--member', 'n1'))).toBe('f');
    await cluster.must('sql', '-c', 'create database shop');
    expect((await runProgram('psql', [await cluster.uri('--db', 'shop'), '-XAtc', 'select current_database()'])).stdout).toBe('shop\n');
  });

  test('TCP wants a password, and the right one', async () => {
    const [target] = targetsOf(await cluster.uri('--member', 'n1'));
    if (target === undefined) throw new Error('the URI names no server');
    drop(await connectTo(target));
    await expect(connectTo({ ...target, password: 'wrong' })).rejects.toThrow('password authentication failed');
  });

  test('add replica makes a member that streams, and its slot', async () => {
    const { added, status } = await cluster.must<{ added: string[]; status: StatusDocument }>('add', 'replica');
    expect(added).toEqual(['n4']);
    expect(status.groups[0]?.members.find((one) => one.name === 'n4')).toMatchObject({ role: 'replica', state: 'streaming' });
    await expect.poll(() => ask('select note from t', 'n4').catch(() => null)).toBe('één');
    expect((await slots()).split(',')).toHaveLength(3);
  });

  test('scale out and in, and remove: no slot, folder or port is left', async () => {
    await cluster.must('scale', '--replicas', '4');
    const wide = await cluster.group();
    expect(nameOf(wide)).toEqual(['n1', 'n2', 'n3', 'n4', 'n5']);
    await cluster.must('scale', 'main', '--replicas', '3');
    await cluster.must('remove', 'n3');
    const narrow = await cluster.group();
    const gone = wide.members.filter((member) => !nameOf(narrow).includes(member.name));
    expect(gone.map((member) => member.name)).toHaveLength(2);
    for (const member of gone) {
      expect(existsSync(folderOf(member.name)), `folder of ${member.name}`).toBe(false);
      expect(existsSync(`/proc/${member.pid}`), `process of ${member.name}`).toBe(false);
      expect(await findPort({ address: LOCAL, from: member.port, except: [], exactly: true })).toBe(member.port);
      expect(await slots()).not.toContain(member.name);
    }
    expect((await slots()).split(',')).toHaveLength(2);
    expect(readdirSync(join(cluster.volume, 'test', 'main')).sort()).toEqual(nameOf(narrow));
    expect(narrow.members.find((one) => one.name === 'n1')?.pid, 'the primary goes on').toBe(wide.members.find((one) => one.name === 'n1')?.pid);
  });

  test('set: a reload where that is enough, else a rolling restart that is announced', async () => {
    const pids = await cluster.pids();
    await cluster.must('set', 'work_mem=5MB');
    expect(await cluster.pids()).toEqual(pids);
    for (const name of Object.keys(pids)) expect(await ask('show work_mem', name)).toBe('5MB');
    const restarting = await cluster.cli('set', 'shared_buffers=40MB');
    expect(restarting).toMatchObject({ code: 0 });
    expect(restarting.stderr).toContain('needs a restart');
    const after = await cluster.pids();
    for (const name of Object.keys(pids)) {
      expect(after[name], `${name} was restarted`).not.toBe(pids[name]);
      expect(await ask('show shared_buffers', name)).toBe('40MB');
    }
    await cluster.must('set', 'work_mem=');
    expect(await ask('show work_mem')).toBe('4MB');
  });

  test('reload and restart', async () => {
    const pids = await cluster.pids();
    await cluster.must('reload');
    expect(await cluster.pids()).toEqual(pids);
    await cluster.must('restart', 'n2');
    const one = await cluster.pids();
    expect(Object.keys(pids).filter((name) => one[name] !== pids[name])).toEqual(['n2']);
    await cluster.must('restart');
    const all = await cluster.pids();
    expect(Object.keys(one).filter((name) => all[name] === one[name])).toEqual([]);
    // The replicas connect to the new postmaster by themselves.
    expect((await cluster.waitHealthy()).groups[0]).toMatchObject({ primary: 'n1', term: 1 });
  });

  test('switchover: the old primary comes back as a replica with the data that it has', async () => {
    const identityOf = (): string => {
      const { dev, ino } = statSync(join(folderOf('n1'), 'data', 'PG_VERSION'));
      return `${dev}:${ino}`;
    };
    const before = identityOf();
    await cluster.must('switchover', '--to', 'n2');
    const status = await cluster.waitHealthy();
    expect(status.groups[0]).toMatchObject({ primary: 'n2', term: 2 });
    for (const member of status.groups[0]?.members ?? []) {
      expect(member.role).toBe(member.name === 'n2' ? 'primary' : 'replica');
      await expect.poll(() => cluster.member(member.name), { timeout: 10_000 }).toMatchObject({ timeline: 2, state: expect.stringMatching(/running|streaming/) });
    }
    expect(identityOf()).toBe(before);
    await cluster.must('sql', '-c', 'insert into t values (3)');
    await expect.poll(() => ask('select count(*) from t', 'n1').catch(() => null)).toBe('2');
    // The manifest still names n1: that is no change, and nobody is switched back.
    expect((await cluster.must<{ changes: unknown[] }>('up')).changes).toEqual([]);
    await cluster.must('switchover');
    expect(await cluster.group()).toMatchObject({ term: 3, primary: expect.not.stringMatching('n2') });
  });

  test('logs and events tell the story', async () => {
    const { text } = await cluster.must<{ text: string }>('logs', 'n1', '--lines', '1000');
    expect(text).toContain('database system is ready to accept');
    expect((await cluster.cli('logs', 'n1', '-n', '3')).stdout.trim().split('\n')).toHaveLength(3);
    const events = await cluster.events();
    expect(events.map((event) => event.kind)).toEqual(expect.arrayContaining(['group-created', 'member-added', 'member-joined', 'member-removed', 'promoted']));
    expect(events.map((event) => event.time)).toEqual(events.map((event) => event.time).toSorted());
    expect(events.filter((event) => event.level === 'error')).toEqual([]);
    expect(await cluster.must<OrbitEvent[]>('events', '--number', '2')).toEqual(events.slice(-2));
    const following = cluster.start(['logs', 'n1', '-f', '-n', '1']);
    await cluster.must('reload', 'n1');
    await expect.poll(async () => (await cluster.must<{ text: string }>('logs', 'n1', '-n', '1')).text).not.toBe('');
    expect(await following.stop('SIGINT')).toMatchObject({ code: 130 });
  });

  test('volume: what each member occupies, and space given back', async () => {
    const { volumes } = await cluster.must<{ volumes: VolumeStatus[] }>('volume', 'du');
    const group = await cluster.group();
    const [volume] = volumes;
    expect(volume?.members.map((member) => member.name).sort()).toEqual(nameOf(group));
    for (const member of volume?.members ?? []) {
      expect(member.logical).toBeGreaterThan(20 * 2 ** 20);
      expect(member.exclusive).toBeLessThanOrEqual(member.logical);
    }
    const reclaimed = await cluster.must<{ shared: { volume: string; freed: number }[]; recloned: string[] }>('volume', 'reclaim', '--reclone', '--drain', '1s');
    expect(reclaimed.recloned).toEqual(['main']);
    const after = (await cluster.must<{ volumes: VolumeStatus[] }>('volume', 'du')).volumes[0];
    if (scene.driver === 'copy') expect(after?.bytes.shared).toBe(0);
    else expect(after?.bytes.shared, 'clones share what they were cloned from').toBeGreaterThan(20 * 2 ** 20);
    expect((await cluster.must<{ volumes: { sound: boolean }[] }>('volume', 'check')).volumes.map((one) => one.sound)).toEqual([true]);
    expect((await cluster.must<{ volumes: VolumeStatus[] }>('volume', 'list')).volumes.map((one) => one.name)).toEqual(['main']);
    await cluster.waitHealthy();
  });

  test('down stops all, up brings all back with the data', async () => {
    const pids = await cluster.pids();
    const primary = (await cluster.group()).primary;
    await cluster.must('down');
    expect((await cluster.leftovers()).agents).toEqual([]);
    expect((await cluster.leftovers()).postmasters).toEqual([]);
    for (const pid of Object.values(pids)) expect(existsSync(`/proc/${pid}`)).toBe(false);
    const down = await cluster.must<StatusDocument>('status');
    expect(down.groups[0]?.state).toBe('down');
    expect(down.agents.map((agent) => agent.state)).toEqual(down.agents.map(() => 'unreachable'));
    expect((await cluster.cli('sql', '-c', 'select 1')).stderr).toContain('pgorbit up');
    await cluster.must('down');
    await cluster.must('up');
    expect(await cluster.group()).toMatchObject({ primary, state: 'healthy' });
    expect(await ask('select count(*) from t')).toBe('2');
  });

  test('destroy --yes leaves nothing', async () => {
    const group = await cluster.group();
    const refused = await cluster.cli('destroy');
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain('destroy --yes');
    expect(await cluster.must('destroy', '--yes')).toEqual({ destroyed: 'test', kept: [] });
    expect(describeLeftovers(await cluster.leftovers())).toBe('');
    expect(readdirSync(cluster.home)).toEqual([]);
    expect(existsSync(cluster.volume)).toBe(false);
    expect(readdirSync(cluster.folder).filter((name) => name.startsWith('volume'))).toEqual([]);
    expect(readdirSync(join(cluster.folder, 'empty')), 'nothing in HOME').toEqual([]);
    for (const { port } of group.members) expect(await findPort({ address: LOCAL, from: port, except: [], exactly: true })).toBe(port);
  });
}
