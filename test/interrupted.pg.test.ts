/** Commands and agents that end in the middle: the next `up` finishes or undoes what they began, and nothing is left over. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sleep } from '../src/lifecycle.ts';
import { askMember, targetsIn } from './support/ask.ts';
import { TestCluster } from './support/cluster.ts';
import { describeLeftovers } from './support/leftovers.ts';
import type { Ended } from './support/program.ts';
import { SCENES, sceneManifest, whyNotHere } from './support/scenes.ts';
import { EVERYTHING } from './support/versions.ts';
import { Writer } from './support/writer.ts';

const scene = SCENES.btrfs;
const reason = await whyNotHere(scene);
const HOSTS = ['h1', 'h2', 'h3'];

/** One moment in each of `count` equal parts of a command that takes about `ms`, at random. */
const moments = (count: number, ms: number): number[] => Array.from({ length: count }, (_, i) => Math.round(((i + Math.random()) * ms) / count));
/** Both signals in turn, whichever first. */
const rounds = (count: number, ms: number): { signal: 'SIGKILL' | 'SIGINT'; at: number }[] => {
  const first = Math.round(Math.random());
  return moments(count, ms).map((at, i) => ({ signal: (i + first) % 2 === 0 ? 'SIGKILL' : 'SIGINT', at }));
};

describe.skipIf(reason !== null)(`interrupted: ${scene.what}${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  let cluster: TestCluster;
  const manifestFile = (): string => join(cluster.folder, 'work', 'manifest.yaml');
  const groupFolder = (): string => join(cluster.volume, 'test', 'main');

  async function interrupt(args: string[], signal: 'SIGKILL' | 'SIGINT', at: number): Promise<Ended> {
    const running = cluster.start(args);
    await sleep(at);
    const ended = await running.stop(signal);
    // 0: it was faster.
    expect([0, signal === 'SIGINT' ? 130 : 137], `${args.join(' ')} after ${at} ms: ${ended.stderr}`).toContain(ended.code);
    // Node itself had only just begun, and nothing else.
    if (ended.signal === 'SIGINT') expect(ended.stdout + ended.stderr).toBe('');
    // Ctrl-C: it says what goes on, or that it was done nevertheless.
    else if (ended.code === 130) expect(ended.stdout + ended.stderr).toMatch(/Ended by a signal\. \S|is gone|healthy|part of the cluster|replicas?:|are? gone/);
    return ended;
  }

  /** Manifest, status, processes, folders and slots tell of the same members, and all of them have the same rows. */
  async function expectWhole(): Promise<string[]> {
    const status = await cluster.waitHealthy();
    const group = status.groups[0];
    const names = (group?.members ?? []).map((member) => member.name).sort();
    const { document } = await cluster.call('GET /v1/cluster', {});
    expect(Object.keys(document?.spec.groups['main']?.members ?? {}).sort()).toEqual(names);
    // What was set aside goes once its successor streams.
    await expect.poll(() => readdirSync(groupFolder()).sort(), { timeout: 10_000 }).toEqual(names);
    await expect.poll(() => askMember(cluster, "select coalesce(string_agg(slot_name, ',' order by slot_name), '') from pg_replication_slots"), { timeout: 10_000 })
      .toBe(names.filter((name) => name !== group?.primary).map((name) => `pgorbit_${name}`).join(','));
    expect((await cluster.leftovers()).postmasters.map(({ dataDir }) => dataDir).sort()).toEqual(names.map((name) => join(groupFolder(), name, 'data')));
    await askMember(cluster, 'create table if not exists probe (id int generated always as identity); insert into probe default values');
    const rows = await askMember(cluster, 'select count(*) from probe');
    for (const name of names) await expect.poll(() => askMember(cluster, 'select count(*) from probe', name).catch(String), { timeout: 10_000 }).toBe(rows);
    expect(existsSync(join(cluster.home, 'test', 'up.lock'))).toBe(false);
    return names;
  }

  async function expectNothing(): Promise<void> {
    expect(describeLeftovers(await cluster.leftovers())).toBe('');
    expect(readdirSync(cluster.home)).toEqual([]);
    expect(readdirSync(cluster.folder).filter((name) => name.startsWith('volume'))).toEqual([]);
  }

  async function destroyRest(): Promise<void> {
    const ended = await cluster.cli('destroy', '--yes');
    expect([0, 2], ended.stderr).toContain(ended.code);
    // 2: killed before it was written down what the cluster is, or after, a command left at most the engine, its lock and its folder to the next up.
    const left = readdirSync(cluster.home);
    if (ended.code === 2 && left.length > 0) {
      expect(['engines', 'test']).toEqual(expect.arrayContaining(left));
      await cluster.must('up', manifestFile());
      await cluster.must('destroy', '--yes');
    }
    await expectNothing();
  }

  describe('up and destroy', () => {
    beforeAll(async () => {
      cluster = await TestCluster.open();
      await cluster.up(sceneManifest(cluster, scene, { replicas: 1 }));
      await cluster.must('destroy', '--yes');
    });
    afterAll(() => cluster?.destroy());

    for (const { signal, at } of rounds(EVERYTHING ? 3 : 2, 5000)) {
      test(`up with ${signal} after ${at} ms: the next up finishes it`, async () => {
        await interrupt(['up', manifestFile()], signal, at);
        await cluster.must('up', manifestFile());
        expect(await expectWhole()).toEqual(['n1', 'n2']);
        await cluster.must('destroy', '--yes');
        await expectNothing();
      });
    }

    for (const { signal, at } of rounds(EVERYTHING ? 3 : 2, 1000)) {
      test(`destroy with ${signal} after ${at} ms: ${signal === 'SIGKILL' ? 'the next destroy' : 'the next up'} finishes it`, async () => {
        await cluster.must('up', manifestFile());
        await interrupt(['destroy', '--yes'], signal, at);
        if (signal === 'SIGINT') {
          await cluster.must('up', manifestFile());
          expect(await expectWhole()).toEqual(['n1', 'n2']);
        }
        await destroyRest();
      });
    }

    test('an up that was interrupted can be destroyed', async () => {
      for (const at of moments(EVERYTHING ? 2 : 1, 4000)) {
        await interrupt(['up', manifestFile()], 'SIGKILL', at);
        await destroyRest();
      }
    });

    test('without the certificates, which the last command had not made yet or had removed already, all the rest is destroyed', async () => {
      await cluster.must('up', manifestFile());
      rmSync(join(cluster.home, 'test', 'admin', 'ca.crt'));
      await cluster.must('destroy', '--yes');
      await expectNothing();
    });
  });

  describe('members', () => {
    beforeAll(async () => {
      cluster = await TestCluster.open();
      await cluster.up(sceneManifest(cluster, scene, { replicas: 1, hosts: HOSTS.length }));
    });
    afterAll(() => cluster?.destroy());

    for (const [what, before, args] of [
      ['add', '1', ['add', 'replica']],
      ['scale out', '1', ['scale', '--replicas', '3']],
      ['scale in', '3', ['scale', '--replicas', '1']],
      ['remove', '3', ['remove', 'n2']],
    ] as const) {
      for (const { signal, at } of rounds(EVERYTHING ? 2 : 1, 1600)) {
        test(`${what} with ${signal} after ${at} ms`, async () => {
          await cluster.must('scale', '--replicas', before);
          const victim = (await cluster.group()).members.find((one) => one.role === 'replica')?.name ?? '';
          const { pid } = await cluster.primary();
          await interrupt(args.map((word) => (word === 'n2' ? victim : word)), signal, at);
          await cluster.must('up');
          await expectWhole();
          expect((await cluster.primary()).pid, 'the primary goes on').toBe(pid);
        });
      }
    }
  });

  describe('agents', () => {
    beforeAll(async () => {
      cluster = await TestCluster.open();
      await cluster.up(sceneManifest(cluster, scene, { replicas: 2, hosts: HOSTS.length }));
    });
    afterAll(() => cluster?.destroy());
    afterEach(async () => void (await cluster.cli('up')));

    const killAgents = async (): Promise<void> => void (await Promise.all(HOSTS.map((host) => cluster.killAgent(host))));

    for (const at of moments(EVERYTHING ? 2 : 1, 900)) {
      test(`kill -9 of all agents ${at} ms after a new member began to attach`, async () => {
        const adding = cluster.start(['add', 'replica']);
        const before = (await cluster.group()).members.length;
        await expect.poll(async () => (await cluster.group()).members.length, { interval: 5, timeout: 20_000 }).toBe(before + 1);
        await sleep(at);
        await killAgents();
        await adding.stop('SIGKILL');
        await cluster.must('up');
        expect(await expectWhole()).toHaveLength(before + 1);
        await cluster.must('scale', '--replicas', '2');
      });
    }

    for (const at of moments(EVERYTHING ? 2 : 1, 600)) {
      test(`kill -9 of all agents ${at} ms after the primary died`, async () => {
        const targets = await targetsIn(cluster);
        const before = await cluster.group();
        const writer = await Writer.start({ targets: () => targets });
        try {
          await expect.poll(() => writer.acknowledgements.count, { timeout: 20_000 }).toBeGreaterThan(50);
          const killed = performance.now();
          await cluster.kill(before.primary ?? '');
          await sleep(at);
          await killAgents();
          await cluster.must('up');
          await writer.acknowledgedAfter(killed, 60_000);
        } finally {
          await writer.stop();
        }
        expect(await expectWhole()).toHaveLength(3);
        expect(await writer.verify()).toMatchObject({ missing: [] });
      });
    }
  });
});
