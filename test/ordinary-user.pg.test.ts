/** Without root, without cgroups, loop devices or snapshots, without a home of its own: the same life, on plain copies. */
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StatusDocument } from '../src/agent/api.ts';
import { BIN, ROOT } from './support/built.ts';
import { TestCluster } from './support/cluster.ts';
import { targetsOf } from './support/connect.ts';
import { describeLeftovers } from './support/leftovers.ts';
import { runProgram } from './support/program.ts';
import { SCENES, sceneManifest, whyNotHere } from './support/scenes.ts';
import { Writer } from './support/writer.ts';

/** `nobody`, whom every machine has, and one whom none has. */
const UID = 65_534;
const NAMELESS = 61_234;
const asUser = (uid: number): string[] => ['--reuid', String(uid), '--regid', String(uid), '--clear-groups', '--inh-caps=-all'];

function whyNoUser(): string | null {
  if (process.getuid?.() !== 0) return 'changing the user needs root; as an ordinary user the other tests show the same';
  try {
    execFileSync('setpriv', [...asUser(UID), process.execPath, '-e', `require('fs').readFileSync(${JSON.stringify(join(ROOT, 'package.json'))})`], { stdio: 'ignore' });
    return null;
  } catch {
    return `${ROOT} or node is closed to other users, or setpriv is missing`;
  }
}

const reason = (await whyNotHere(SCENES.folder)) ?? whyNoUser();

describe.skipIf(reason !== null)(`an ordinary user${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await TestCluster.open({ runAs: ['setpriv', ...asUser(UID)] });
    for (const dir of ['', 'home', 'empty', 'work']) chownSync(join(cluster.folder, dir), UID, UID);
  });
  afterAll(() => cluster?.destroy());

  test('up, and everything belongs to the user', async () => {
    const status = await cluster.up(sceneManifest(cluster, SCENES.folder, { replicas: 1 }));
    expect(status.groups[0]?.state).toBe('healthy');
    for (const pid of [...Object.values(await cluster.pids()), ...status.agents.map((agent) => agent.pid)]) expect(statSync(`/proc/${pid}`).uid).toBe(UID);
    expect((await cluster.leftovers()).cgroups).toEqual([]);
    expect(statSync(join(cluster.volume, 'test', 'main', 'n1', 'data')).mode & 0o077).toBe(0);
  });

  test('a user without a name is told so before anything is made: initdb would refuse', async () => {
    const other = await TestCluster.open({ runAs: ['setpriv', ...asUser(NAMELESS)] });
    try {
      for (const dir of ['', 'home', 'empty', 'work']) chownSync(join(other.folder, dir), NAMELESS, NAMELESS);
      writeFileSync(join(other.folder, 'work', 'manifest.yaml'), sceneManifest(other, SCENES.folder));
      const refused = await other.cli('up', 'manifest.yaml', '--json');
      expect(refused.code).toBe(1);
      expect(refused.json).toMatchObject({ error: { code: 'permission', message: expect.stringContaining(String(NAMELESS)), hint: expect.stringContaining('useradd') } });
      expect(readdirSync(other.home)).toEqual([]);
    } finally {
      await other.destroy();
    }
  });

  test('doctor says what is missing without root, and that it is no hindrance', async () => {
    const { stdout, code } = await cluster.cli('doctor');
    expect(code, stdout).toBe(0);
    expect(stdout).toContain('root');
  });

  test('an image volume is refused with what would do', async () => {
    const refused = await cluster.cli('volume', 'create', join(cluster.folder, 'image'), '--size', '1GB');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('root');
  });

  test('add replica, sql, switchover', async () => {
    await cluster.must('add', 'replica');
    await cluster.must('sql', '-c', 'create table t (id int); insert into t values (1)');
    await cluster.must('switchover', '--to', 'n2');
    expect((await cluster.waitHealthy({ members: 3 })).groups[0]).toMatchObject({ primary: 'n2', term: 2 });
  });

  test('kill -9 of the primary under a writer: nothing acknowledged is missing', async () => {
    const targets = targetsOf(await cluster.uri());
    const writer = await Writer.start({ targets: () => targets });
    try {
      await expect.poll(() => writer.acknowledgements.count, { timeout: 20_000 }).toBeGreaterThan(50);
      const killed = performance.now();
      await cluster.kill('n2');
      await writer.acknowledgedAfter(killed, 60_000);
    } finally {
      await writer.stop();
    }
    expect((await cluster.waitHealthy({ members: 3 })).groups[0]?.primary).not.toBe('n2');
    expect(await writer.verify()).toMatchObject({ missing: [] });
  });

  test('down, up, destroy --yes', async () => {
    await cluster.must('down');
    expect((await cluster.must<StatusDocument>('status')).groups[0]?.state).toBe('down');
    await cluster.must('up');
    await cluster.must('destroy', '--yes');
    expect(describeLeftovers(await cluster.leftovers())).toBe('');
    expect(readdirSync(cluster.home)).toEqual([]);
    expect(existsSync(cluster.volume)).toBe(false);
    expect((await runProgram('find', [cluster.folder, '-uid', '0', '-not', '-name', 'owner.json', '-not', '-name', 'manifest.yaml'])).stdout).toBe('');
  });

  test('the built program is not writable for it', () => {
    expect(statSync(BIN).mode & 0o002).toBe(0);
  });
});
