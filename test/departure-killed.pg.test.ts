/** The agent of a standby that is promoted to a cluster of its own is killed in the midst of it: it is the one or the other, and the next try succeeds. */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StatusDocument } from '../src/agent/api.ts';
import { runningAgent } from '../src/agent/pid-file.ts';
import { isAlive, sendSignal } from '../src/engine/proc.ts';
import { adminDir, agentDir, memberDir } from '../src/home.ts';
import { sleep } from '../src/lifecycle.ts';
import { askMember } from './support/ask.ts';
import { TestCluster } from './support/cluster.ts';

const WAIT = { timeout: 90_000, interval: 100 };

const manifest = (cluster: TestCluster): string => `
cluster: old
engine: { kind: postgres, version: 15 }
hosts:
  h1: { address: 127.0.0.1, port: ${cluster.firstPort + 20} }
  h2: { address: 127.0.0.1, port: ${cluster.firstPort + 21} }
  h3: { address: 127.0.0.1, port: ${cluster.firstPort + 22} }
groups:
  main:
    storage: local
    settings: { shared_buffers: 16MB }
    members:
      n1: { host: h1, role: primary, port: ${cluster.firstPort} }
      s1: { host: h3, role: standby, port: ${cluster.firstPort + 1} }
`;

describe('an agent that is killed while its standby becomes a cluster of its own', () => {
  let cluster: TestCluster;
  let home: string;
  let rows = 2;

  beforeAll(async () => {
    cluster = await TestCluster.open();
    await cluster.up(manifest(cluster));
    home = memberDir(cluster.home, 'old', 'h3', 'main', 's1');
    await askMember(cluster, 'create table t (a int); insert into t values (1), (2)');
  });
  afterAll(() => cluster?.destroy());

  const parted = (): { done: boolean } | null => (existsSync(join(home, 'parted.json')) ? (JSON.parse(readFileSync(join(home, 'parted.json'), 'utf8')) as { done: boolean }) : null);
  const owner = (dir: string): string => (JSON.parse(readFileSync(join(dir, 'pgorbit.json'), 'utf8')) as { cluster: string }).cluster;
  const histories = (): string => readdirSync(join(home, 'storage', 'data', 'pg_wal')).filter((name) => name.endsWith('.history')).join(' ');
  const ask = async (name: string, sql: string): Promise<string | null> => (await cluster.must<{ results: { rows: (string | null)[][] }[] }>('sql', '--cluster', name, '-c', sql)).results.at(-1)!.rows[0]?.[0] ?? null;
  const caughtUp = async (): Promise<void> => {
    await expect.poll(() => askMember(cluster, 'select count(*) from t', 's1').catch(String), WAIT).toBe(String(rows));
  };

  /** Kills the agent of h3 as soon as `moment` is seen while s1 is promoted. With `held` that comes no further than to the checkpoint behind the promotion. */
  async function killedAt(name: string, moment: () => boolean, held: boolean): Promise<void> {
    await caughtUp();
    const checkpointer = Number(await askMember(cluster, "select pid from pg_stat_activity where backend_type = 'checkpointer'", 's1'));
    if (held) sendSignal(checkpointer, 'SIGSTOP');
    const agent = (await runningAgent(agentDir(cluster.home, 'old', 'h3')))!;
    const promoting = cluster.start(['promote', 's1', '--cluster', 'old', '--as', name, '--timeout', '60s']);
    const seen = (): boolean => {
      try {
        return moment();
      } catch {
        // A file that is being replaced.
        return false;
      }
    };
    try {
      for (const end = performance.now() + 60_000; !seen() && performance.now() < end; ) await sleep(1);
      expect(seen()).toBe(true);
      sendSignal(agent.pid, 'SIGKILL');
      while (isAlive(agent)) await sleep(5);
    } finally {
      if (held) sendSignal(checkpointer, 'SIGCONT');
    }
    await promoting.stop('SIGKILL');
  }

  /** It is a cluster of its own that accepts writes, and the old one goes on without it, whatever it is asked. */
  async function promoted(name: string): Promise<void> {
    const made = await cluster.must<{ cluster: string; forgotten: boolean }>('promote', 's1', '--cluster', 'old', '--as', name);
    expect(made).toMatchObject({ cluster: name, forgotten: true });
    await ask(name, 'insert into t values (-1)');
    expect(owner(join(memberDir(cluster.home, name, 'h3', 'main', 's1'), 'storage'))).toBe(name);
    await askMember(cluster, `insert into t values (${++rows})`);
    const { status } = await cluster.must<{ status: StatusDocument }>('up', '--cluster', 'old');
    expect(status.groups[0]).toMatchObject({ state: 'healthy', members: [{ name: 'n1' }] });
    expect(status.groups[0]!.members).toHaveLength(1);
    expect(await askMember(cluster, "select count(*) from pg_replication_slots where slot_name like '%s1'")).toBe('0');
    expect(await ask(name, 'select count(*) from t')).toBe(String(rows));
    expect(await ask(name, 'select count(*) from t where a = -1')).toBe('1');
  }

  /** A standby of the same name for the next round. */
  async function again(name: string): Promise<void> {
    await cluster.must('destroy', '--cluster', name, '--yes');
    await cluster.must('add', 'standby', '--cluster', 'old', '--name', 's1', '--host', 'h3', '--port', String(cluster.firstPort + 1));
  }

  test('before it is promoted: it is still a standby of the old cluster, and the next try succeeds', async () => {
    await killedAt('dr1', () => parted() !== null, true);
    expect(parted()).toMatchObject({ done: false });
    expect(owner(join(home, 'storage'))).toBe('old');
    await cluster.must('up', '--cluster', 'old');
    await askMember(cluster, `insert into t values (${++rows})`);
    await caughtUp();
    await promoted('dr1');
    await again('dr1');
  });

  test('when it is just promoted: tried again at once, under another name, it succeeds', async () => {
    const before = histories();
    await killedAt('dr2', () => histories() !== before, true);
    expect(owner(join(home, 'storage'))).toBe('old');
    await promoted('dr2b');
    expect(existsSync(adminDir(cluster.home, 'dr2'))).toBe(false);
    await again('dr2b');
  });

  test('when it is just promoted: left alone, it is put right as a standby of the old cluster', async () => {
    const before = histories();
    await killedAt('dr3', () => histories() !== before, true);
    await cluster.must('up', '--cluster', 'old');
    await askMember(cluster, `insert into t values (${++rows})`);
    await caughtUp();
    await expect.poll(() => cluster.member('s1'), WAIT).toMatchObject({ role: 'standby', state: 'streaming', error: null });
  });

  test('between the mark on its data and the note of it: the old cluster leaves the data alone, and the next try succeeds', async () => {
    await killedAt('dr4', () => owner(join(home, 'storage')) === 'dr4', false);
    // As a kill leaves it that comes before the note is written, which takes no longer than a write to disk.
    writeFileSync(join(home, 'parted.json'), JSON.stringify({ ...parted(), done: false }));
    const up = await cluster.cli('up', '--cluster', 'old', '--timeout', '10s');
    expect(up).toMatchObject({ code: 4, stderr: expect.stringContaining('s1 left this cluster') });
    expect(owner(join(home, 'storage'))).toBe('dr4');
    await promoted('dr4');
  });
});
