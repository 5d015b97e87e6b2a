/** Drills of a standby on a volume that clones, and what becomes of one whose agent dies. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { askMember } from './support/ask.ts';
import { TestCluster } from './support/cluster.ts';
import { whyNoImages } from './support/volume.ts';
import { EVERYTHING, ONLY_WITH_ALL } from './support/versions.ts';

const WAIT = { timeout: 60_000, interval: 20 };

const manifest = (cluster: TestCluster, driver: 'btrfs' | 'reflink' | null): string => `
cluster: drill
engine: { kind: postgres, version: 15 }
hosts: { h1: 127.0.0.1, h2: 127.0.0.1 }
${driver === null ? '' : `volumes: { far: { path: ${JSON.stringify(join(cluster.folder, 'far'))}, driver: ${driver}, size: 700MB } }`}
groups:
  main:
    storage: local
    settings: { shared_buffers: 32MB }
    members:
      n1: { host: h1, role: primary, port: ${cluster.firstPort} }
      s1: { host: h2, role: standby, port: ${cluster.firstPort + 1}${driver === null ? '' : ', volume: far'} }
`;

const noImages = await whyNoImages();

describe.skipIf(!EVERYTHING)(`a drill${EVERYTHING ? '' : ` (${ONLY_WITH_ALL})`}`, () => {
  let cluster: TestCluster;
  afterEach(() => cluster?.destroy());

  const begin = async (driver: 'btrfs' | 'reflink' | null): Promise<void> => {
    cluster = await TestCluster.open();
    await cluster.up(manifest(cluster, driver));
    await askMember(cluster, 'create table t (a int); insert into t values (1), (2)');
    await expect.poll(() => askMember(cluster, 'select count(*) from t', 's1').catch(String), WAIT).toBe('2');
  };

  test.skipIf(noImages !== null).each([['btrfs', 'snapshot'], ['reflink', 'clone']] as const)('of a standby on %s is of a %s', async (driver, how) => {
    await begin(driver);
    expect(await cluster.must('drill', 's1', '-c', 'select count(*) = 2 from t')).toMatchObject({ passed: true, how, point: { timeline: 2 } });
    expect(await readdir(join(cluster.folder, 'far', 'drill', 'main'))).toEqual(['s1']);
  });

  test('whose agent dies leaves nothing once the agent is there again', async () => {
    await begin(null);
    const home = join(cluster.home, 'drill', 'h2', 'members', 'main', 's1');
    const drill = cluster.start(['drill', 's1', '-c', 'select pg_sleep(60)']);
    // The copy accepts writes, and its check runs.
    await expect.poll(() => readdir(join(home, 'storage.drill', 'data')).then((names) => names.includes('postmaster.pid') && !names.includes('standby.signal'), () => false), WAIT).toBe(true);
    await cluster.killAgent('h2');
    expect((await drill.ended).code).not.toBe(0);
    await cluster.must('up');
    await expect.poll(() => readdir(home).then((names) => names.includes('storage.drill')), WAIT).toBe(false);
    expect(await cluster.must('drill', 's1')).toMatchObject({ passed: true });
  });
});
