/** A quorum group of which only one copy of the data is left for good: by force it becomes a cluster of its own, and the others can't be mistaken for it. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StatusDocument } from '../src/agent/api.ts';
import { runningAgent } from '../src/agent/pid-file.ts';
import { isAlive, sendSignal } from '../src/engine/proc.ts';
import { agentDir, memberDir } from '../src/home.ts';
import { sleep } from '../src/lifecycle.ts';
import { askMember } from './support/ask.ts';
import { TestCluster } from './support/cluster.ts';
import { processesOf, signal } from './support/host.ts';
import { quorumManifest } from './support/manifest.ts';
import { EVERYTHING, ONLY_WITH_ALL } from './support/versions.ts';

const WAIT = { timeout: 60_000, interval: 50 };

describe('a quorum group whose majority is lost', () => {
  let cluster: TestCluster;

  beforeEach(async () => {
    cluster = await TestCluster.open();
    await cluster.up(quorumManifest({ cluster: 'old', version: 18, firstPort: cluster.firstPort, settings: { shared_buffers: '32MB' } }));
    await askMember(cluster, 'create table t (a int); insert into t values (1), (2)');
    await caughtUp();
  });
  afterEach(() => cluster?.destroy());

  const ask = async (name: string, sql: string): Promise<string | null> => (await cluster.must<{ results: { rows: (string | null)[][] }[] }>('sql', '--cluster', name, '-c', sql)).results.at(-1)!.rows[0]?.[0] ?? null;

  async function caughtUp(): Promise<void> {
    await expect.poll(() => askMember(cluster, 'select count(*) from t', 'n2').catch(String), WAIT).toBe('2');
  }

  const part = (): Promise<unknown> => cluster.call('POST /v1/part', { group: 'main', member: 'n2', owner: { cluster: 'saved', clusterId: randomUUID() } }, 'h2');

  /** What these hosts run dies at once: their agents, and the servers of their members. */
  async function lose(...hosts: string[]): Promise<void> {
    signal((await Promise.all(hosts.map((host) => processesOf(cluster, host)))).flat(), 'SIGKILL');
    await expect.poll(() => cluster.call('GET /v1/status', {}).then(() => 'led', () => 'not led'), WAIT).toBe('not led');
  }

  /** The others are there again after all: they go on as the old cluster, without what left. */
  async function returned(member: string, primary: string, rows: string): Promise<void> {
    expect(await cluster.cli('up', '--cluster', 'old', '--timeout', '4s')).toMatchObject({ code: 4, stderr: expect.stringContaining(`${member} left this cluster`) });
    await expect.poll(async () => (await cluster.group()).primary, WAIT).toBe(primary);
    await cluster.must('remove', member, '--cluster', 'old');
    await expect.poll(async () => (await cluster.must<StatusDocument>('status', '--cluster', 'old')).groups[0], WAIT).toMatchObject({ state: 'healthy', primary });
    expect(await ask('old', 'select count(*) from t')).toBe(rows);
  }

  test.skipIf(!EVERYTHING)(`a replica that is left goes on alone, and grows again${EVERYTHING ? '' : ` (${ONLY_WITH_ALL})`}`, async () => {
    expect(await cluster.cli('promote', 'n2', '--as', 'saved', '--force')).toMatchObject({ code: 2, stderr: expect.stringContaining('n2 is a replica, not a standby') });
    // As from a machine that reaches none of the other agents.
    await expect(part()).rejects.toThrow('the agents of old have a majority');
    await cluster.waitHealthy({ members: 3 });
    await lose('h1', 'h3');
    expect(await cluster.cli('promote', 'n2', '--force')).toMatchObject({ code: 3, stderr: expect.stringContaining('pgorbit promote n2 --as NAME --force') });
    expect(await cluster.cli('promote', 'n2', '--as', 'saved')).toMatchObject({ code: 3, stderr: expect.stringContaining('pgorbit promote n2 --as saved --force') });
    expect(await cluster.must('promote', 'n2', '--as', 'saved', '--force')).toMatchObject({ cluster: 'saved', forgotten: false, recoveryPoint: { timeline: 1 } });
    await ask('saved', 'insert into t values (3)');
    expect(await ask('saved', 'select count(*) from t')).toBe('3');
    await cluster.must('add', 'replica', '--cluster', 'saved', '--name', 'r1');
    expect(await ask('saved', 'select count(*) from pg_stat_replication')).toBe('1');
    await returned('n2', 'n1', '2');
    expect(await ask('saved', 'select count(*) from t')).toBe('3');
  });

  test('so does a primary that is left, on a timeline of its own', async () => {
    await lose('h2', 'h3');
    expect(await cluster.must('promote', 'n1', '--as', 'saved', '--force')).toMatchObject({ cluster: 'saved', recoveryPoint: { timeline: 1 } });
    await ask('saved', 'insert into t values (3)');
    expect(await ask('saved', 'select count(*) from t')).toBe('3');
    expect(await ask('saved', 'select timeline_id from pg_control_checkpoint()')).toBe('2');
    await returned('n1', 'n2', '2');
  });

  test('an agent that is killed in the midst of it: what was promoted is nobody else\'s, and the next try succeeds', async () => {
    const checkpointer = Number(await askMember(cluster, "select pid from pg_stat_activity where backend_type = 'checkpointer'", 'n2'));
    await expect(part()).rejects.toThrow('the agents of old have a majority');
    await cluster.waitHealthy({ members: 3 });
    await lose('h1', 'h3');
    expect(await cluster.cli('promote', 'n2', '--force')).toMatchObject({ code: 3, stderr: expect.stringContaining('pgorbit promote n2 --as NAME --force') });
    const home = memberDir(cluster.home, 'old', 'h2', 'main', 'n2');
    const agent = (await runningAgent(agentDir(cluster.home, 'old', 'h2')))!;
    // It comes no further than to the checkpoint behind the promotion.
    sendSignal(checkpointer, 'SIGSTOP');
    const promoting = cluster.start(['promote', 'n2', '--as', 'saved', '--force']);
    try {
      const promoted = join(home, 'storage', 'data', 'pg_wal', '00000002.history');
      for (const end = performance.now() + 60_000; !existsSync(promoted) && performance.now() < end; ) await sleep(1);
      expect(existsSync(promoted)).toBe(true);
      sendSignal(agent.pid, 'SIGKILL');
      while (isAlive(agent)) await sleep(5);
    } finally {
      sendSignal(checkpointer, 'SIGCONT');
    }
    await promoting.stop('SIGKILL');
    // The old cluster is there again: on its longer timeline n2 would win an election, with less than was acknowledged.
    expect((await cluster.cli('up', '--cluster', 'old', '--timeout', '4s')).code).toBe(4);
    await expect.poll(async () => (await cluster.group()).primary, WAIT).toBe('n1');
    await ask('old', 'insert into t values (4)');
    expect(await cluster.member('n2')).toMatchObject({ state: 'stopped', error: { message: 'n2 has begun to become the cluster saved, and takes no part here any more' } });
    await lose('h1', 'h3');
    await cluster.must('promote', 'n2', '--as', 'saved', '--force');
    expect(await ask('saved', "select string_agg(a::text, ' ' order by a) from t")).toBe('1 2');
    await returned('n2', 'n1', '3');
  });
});
