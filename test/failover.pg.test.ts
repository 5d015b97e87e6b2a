/** Whatever dies, nothing that was acknowledged is lost, and the cluster comes back to what it was. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { identify, isAlive, sendSignal, withDescendants } from '../src/engine/proc.ts';
import { agentDir } from '../src/home.ts';
import { sleep } from '../src/lifecycle.ts';
import { askMember, targetsIn } from './support/ask.ts';
import { TestCluster } from './support/cluster.ts';
import { mustRun } from './support/program.ts';
import { SCENES, sceneManifest, whyNotHere, type Scene } from './support/scenes.ts';
import type { Target } from './support/connect.ts';
import { Writer } from './support/writer.ts';
import { EVERYTHING } from './support/versions.ts';

const WRITABLE_MS = 60_000;

/** Opens a cluster for the tests of one scene. */
function play(scene: Scene, failover: 'automatic' | 'manual', tests: (cluster: () => TestCluster, targets: () => Target[]) => void): () => Promise<void> {
  return async () => {
    let cluster: TestCluster;
    let targets: Target[] = [];
    beforeAll(async () => {
      cluster = await TestCluster.open();
      await cluster.up(sceneManifest(cluster, scene, { failover }));
      targets = await targetsIn(cluster);
    });
    afterAll(() => cluster?.destroy());
    tests(() => cluster, () => targets);
  };
}

/**
 * Writes while `event` happens, and until writes are answered after it: on a new connection where the event cuts the
 * old ones. Then nothing acknowledged may be missing.
 */
async function underWriter(targets: () => Target[], event: () => Promise<void>, options: { cuts: boolean } = { cuts: true }): Promise<void> {
  const writer = await Writer.start({ targets, sessions: 2 });
  try {
    await expect.poll(() => writer.acknowledgements.count, { timeout: WRITABLE_MS }).toBeGreaterThan(100);
    const before = performance.now();
    await event();
    if (options.cuts) await writer.acknowledgedAfter(before, WRITABLE_MS);
    else {
      const { count } = writer.acknowledgements;
      await expect.poll(() => writer.acknowledgements.count, { timeout: WRITABLE_MS }).toBeGreaterThan(count + 100);
      expect(writer.errors).toEqual([]);
    }
  } finally {
    await writer.stop();
  }
  expect(await writer.verify()).toMatchObject({ missing: [] });
}

async function killAndComeBack(cluster: TestCluster, targets: () => Target[], kill: (primary: string) => Promise<void>): Promise<string> {
  const before = await cluster.group();
  const old = before.primary ?? '';
  await underWriter(targets, () => kill(old));
  const status = await cluster.waitHealthy({ members: 3 });
  const group = status.groups[0];
  expect(group?.primary).not.toBe(old);
  expect(group?.term).toBeGreaterThan(before.term);
  expect(group?.members.find((one) => one.name === old)).toMatchObject({ role: 'replica', state: 'streaming' });
  // Every member has what the writer wrote: nobody streams a history of its own.
  const count = await askMember(cluster, 'select count(*) from writer_log');
  for (const { name } of group?.members ?? []) {
    await expect.poll(() => askMember(cluster, 'select count(*) from writer_log', name).catch(String), { timeout: 20_000 }).toBe(count);
  }
  return old;
}

for (const scene of EVERYTHING ? [SCENES.btrfs, SCENES.xfs] : [SCENES.btrfs]) {
  const reason = await whyNotHere(scene);
  describe.skipIf(reason !== null)(`${scene.what}${reason === null ? '' : ` (skipped: ${reason})`}`, play(scene, 'automatic', (cluster, targets) => {
    for (const round of [1, 2]) {
      test(`kill -9 of the primary's postmaster under a writer, round ${round}`, async () => {
        await killAndComeBack(cluster(), targets, async (primary) => void (await cluster().kill(primary)));
        expect((await cluster().events()).map((event) => event.kind)).toEqual(expect.arrayContaining(['primary-lost', 'promoted']));
      });
    }

    test('kill -9 of every process of the primary', async () => {
      await killAndComeBack(cluster(), targets, async (primary) => {
        const { pid } = await cluster().member(primary);
        const family = withDescendants([pid ?? 0]);
        expect(family.length).toBeGreaterThan(5);
        for (const one of family) sendSignal(one, 'SIGKILL');
      });
    });

    if (scene.driver === 'btrfs') {
      test('kill -9 of agents: PostgreSQL does not notice, up brings them back, and then a failover works', async () => {
        const { home, name } = cluster();
        const pids = await cluster().pids();
        const { agents } = await cluster().status();
        const leader = agents.find((agent) => agent.state === 'leader')?.host ?? '';
        const other = agents.find((agent) => agent.state === 'follower')?.host ?? '';
        await underWriter(targets, async () => {
          await cluster().killAgent(leader);
          await cluster().killAgent(other);
        }, { cuts: false });
        for (const pid of Object.values(pids)) expect(identify(pid)).not.toBeNull();
        const down = await cluster().cli('status');
        expect(down.code).toBe(0);
        expect(down.stdout).toMatch(/degraded|none leads/);
        expect(down.stdout).toContain('pgorbit up');
        await cluster().must('up');
        expect(await cluster().pids(), 'adopted, not restarted').toEqual(pids);
        for (const host of [leader, other]) expect(await readFile(join(agentDir(home, name, host), 'agent.log'), 'utf8')).not.toContain('"level":60');
        await killAndComeBack(cluster(), targets, async (primary) => void (await cluster().kill(primary)));
      });

      // Which of the two, a failover or a start in place, depends on whose report comes first; neither may lose anything.
      test('a primary that is killed while no agent watches comes back, or another in its place', async () => {
        const before = await cluster().group();
        for (const host of ['h1', 'h2', 'h3']) await cluster().killAgent(host);
        const pid = before.members.find((one) => one.name === before.primary)?.pid ?? 0;
        await underWriter(targets, async () => {
          for (const one of withDescendants([pid])) sendSignal(one, 'SIGKILL');
          await cluster().must('up');
        });
        await cluster().waitHealthy({ members: 3 });
        expect((await cluster().group()).members.filter((one) => one.role === 'primary')).toHaveLength(1);
      });

      test('a clean stop from outside is no failover: it is started again in place', async () => {
        const before = await cluster().group();
        const primary = await cluster().primary();
        const id = identify(primary.pid ?? 0);
        await underWriter(targets, async () => {
          // What `pg_ctl stop -m fast` sends.
          sendSignal(primary.pid ?? 0, 'SIGINT');
          while (id !== null && isAlive(id)) await sleep(5);
        });
        await cluster().waitHealthy({ members: 3 });
        expect(await cluster().group()).toMatchObject({ primary: before.primary, term: before.term });
        expect((await cluster().events()).at(-1)?.message).not.toContain('takes over');
      });

      test('SIGSTOP and SIGCONT of the primary: whoever is the primary then has all that was acknowledged', async () => {
        const primary = await cluster().primary();
        await underWriter(targets, async () => {
          const family = withDescendants([primary.pid ?? 0]);
          for (const one of family) sendSignal(one, 'SIGSTOP');
          await sleep(4000);
          for (const one of family.filter((pid) => identify(pid) !== null)) sendSignal(one, 'SIGCONT');
        });
        await cluster().waitHealthy({ members: 3 });
        const writers = (await cluster().group()).members.filter((one) => one.role === 'primary');
        expect(writers).toHaveLength(1);
      });

      test('a replica that is killed comes back, and the primary goes on', async () => {
        const before = await cluster().group();
        const replica = before.members.find((one) => one.name !== before.primary)?.name ?? '';
        await underWriter(targets, async () => void (await cluster().kill(replica)), { cuts: false });
        await cluster().waitHealthy({ members: 3 });
        expect(await cluster().group()).toMatchObject({ primary: before.primary, term: before.term });
        expect((await cluster().pids())[before.primary ?? '']).toBe(before.members.find((one) => one.name === before.primary)?.pid);
      });
    }
  }));
}

const manual = await whyNotHere(SCENES.folder);
describe.skipIf(manual !== null)(`failover: manual, ${SCENES.folder.what}`, play(SCENES.folder, 'manual', (cluster, targets) => {
  test('a dead primary is started again in place', async () => {
    const before = await cluster().group();
    await underWriter(targets, async () => void (await cluster().kill(before.primary ?? '')));
    await cluster().waitHealthy({ members: 3 });
    expect(await cluster().group()).toMatchObject({ primary: before.primary, term: before.term });
  });

  test('promote wants --force', async () => {
    const refused = await cluster().cli('promote', 'n2');
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain('switchover --to n2');
    expect(await cluster().group()).toMatchObject({ primary: 'n1', term: 1 });
  });

  test('promote --force takes over from a primary that does not come back', async () => {
    const { dataDir } = { dataDir: join(cluster().volume, 'test', 'main', 'n1', 'data') };
    const config = join(dataDir, 'postgresql.conf');
    const text = await readFile(config, 'utf8');
    await underWriter(targets, async () => {
      // It can't start again.
      await mustRun('sh', ['-c', 'echo "no_such_setting_at_all = 1" >> "$0"', config]);
      await cluster().kill('n1');
      await expect.poll(async () => (await cluster().member('n1')).error?.message ?? '', { timeout: 30_000 }).not.toBe('');
      await cluster().must('promote', 'n2', '--force');
    });
    expect(text).not.toContain('no_such_setting_at_all');
    const status = await cluster().waitHealthy({ members: 3 });
    expect(status.groups[0]).toMatchObject({ primary: 'n2', term: 2 });
    expect(status.groups[0]?.members.find((one) => one.name === 'n1')).toMatchObject({ role: 'replica', state: 'streaming' });
  });
}));
