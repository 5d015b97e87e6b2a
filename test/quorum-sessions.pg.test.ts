/** What becomes of a session whose commit waits for its quorum: docs/guide/three-node.md promises this, of stock PostgreSQL. */
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sendSignal, withDescendants } from '../src/engine/proc.ts';
import { sleep } from '../src/lifecycle.ts';
import { askMember, targetsIn } from './support/ask.ts';
import { TestCluster } from './support/cluster.ts';
import { connectTo, drop, type Target } from './support/connect.ts';
import { signal } from './support/host.ts';
import { quorumManifest } from './support/manifest.ts';
import { EVERYTHING, ONLY_WITH_ALL } from './support/versions.ts';

describe.skipIf(!EVERYTHING).each([18, 15])(`${EVERYTHING ? '' : `(${ONLY_WITH_ALL}) `}a commit of PostgreSQL %i that waits`, (version) => {
  let cluster: TestCluster;
  let primary: Target;
  /** The processes of the voters that would confirm. */
  let silent: number[] = [];
  const clients: Client[] = [];

  beforeAll(async () => {
    cluster = await TestCluster.open();
    await cluster.up(quorumManifest({ cluster: 'sessions', version, firstPort: cluster.firstPort, settings: { shared_buffers: '32MB' } }));
    primary = (await targetsIn(cluster)).find(({ port }) => port === cluster.firstPort + 20)!;
    await askMember(cluster, 'create table kept (id int primary key); create role ordinary; grant all on kept to ordinary');
  });
  afterAll(() => cluster?.destroy());

  beforeEach(async () => {
    await cluster.waitHealthy({ members: 3 });
    await bothConfirm();
    const { members } = await cluster.group();
    silent = withDescendants(members.filter(({ name }) => name !== 'n1').flatMap(({ pid }) => pid ?? []));
    signal(silent, 'SIGSTOP');
  });
  afterEach(async () => {
    signal(silent, 'SIGCONT');
    for (const client of clients.splice(0)) drop(client);
    await cluster.waitHealthy({ members: 3 });
  });

  const bothConfirm = async (): Promise<void> => {
    await expect.poll(async () => (await cluster.group()).members.filter((one) => one.synchronous).length, { timeout: 20_000 }).toBe(2);
  };


  async function session(): Promise<Client> {
    const client = await connectTo(primary);
    clients.push(client);
    return client;
  }

  /** A session that inserts `id` and waits; what it is told in the end. */
  async function waiting(id: number, before = 'select 1', statement = `insert into kept values (${id})`): Promise<{ answer: Promise<string>; warnings: string[]; pid: number; client: Client }> {
    const client = await session();
    const warnings: string[] = [];
    client.on('notice', (notice) => warnings.push(`${notice.severity}: ${notice.message}`));
    await client.query(before);
    const pid = Number((await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid);
    const answer = client.query(statement).then(() => 'success', (error: Error) => `error: ${error.message}`);
    await expect.poll(() => waitsFor(pid), { timeout: 20_000 }).toBe('SyncRep');
    return { answer, warnings, pid, client };
  }

  const waitsFor = (pid: number): Promise<string | null> => askMember(cluster, `select wait_event from pg_stat_activity where pid = ${pid}`, 'n1').catch(String);
  const seen = (id: number, member: string): Promise<string | null> => askMember(cluster, `select count(*) from kept where id = ${id}`, member);
  const arrives = async (id: number): Promise<void> => {
    await expect.poll(() => seen(id, 'n2').catch(String), { timeout: 30_000 }).toBe('1');
  };

  test('is unseen on the primary and ended by no time-out; it is acknowledged when a voter is back', async () => {
    const { answer, warnings, pid } = await waiting(1, "set statement_timeout = '200ms'; set lock_timeout = '200ms'; set idle_in_transaction_session_timeout = '200ms'");
    await sleep(1000);
    expect(await waitsFor(pid)).toBe('SyncRep');
    expect(await seen(1, 'n1')).toBe('0');
    signal(silent, 'SIGCONT');
    expect(await answer).toBe('success');
    expect(warnings).toEqual([]);
    await arrives(1);
  });

  test('is told success with a warning when it is cancelled, and is visible on the primary only', async () => {
    const { answer, warnings, pid } = await waiting(2);
    await askMember(cluster, `select pg_cancel_backend(${pid})`, 'n1');
    expect(await answer).toBe('success');
    expect(warnings).toEqual(['WARNING: canceling wait for synchronous replication due to user request']);
    expect(await seen(2, 'n1')).toBe('1');
    signal(silent, 'SIGCONT');
    await arrives(2);
  });

  test('loses its connection when it is terminated, and is visible on the primary all the same', async () => {
    const { answer, pid } = await waiting(3);
    await askMember(cluster, `select pg_terminate_backend(${pid})`, 'n1');
    expect(await answer).toMatch(/^error: /);
    expect(await seen(3, 'n1')).toBe('1');
    signal(silent, 'SIGCONT');
    await arrives(3);
  });

  test('waits on when its client is gone, unseen, until a voter is back', async () => {
    const { pid, client } = await waiting(4);
    drop(client);
    await sleep(500);
    expect(await waitsFor(pid)).toBe('SyncRep');
    expect(await seen(4, 'n1')).toBe('0');
    signal(silent, 'SIGCONT');
    await arrives(4);
    expect(await seen(4, 'n1')).toBe('1');
  });

  test('does not wait at all where its session lowered synchronous_commit, which any role may', async () => {
    const client = await session();
    await client.query('set role ordinary; set synchronous_commit = local');
    await client.query('insert into kept values (5)');
    expect(await seen(5, 'n1')).toBe('1');
    signal(silent, 'SIGCONT');
    await arrives(5);
  });

  test('is visible, though nobody confirmed it, once the primary was restarted in place', async () => {
    const { answer, pid } = await waiting(6);
    expect(await seen(6, 'n1')).toBe('0');
    // A backend that dies takes all of them with it: the postmaster starts crash recovery at once.
    sendSignal(pid, 'SIGKILL');
    expect(await answer).toMatch(/^error: /);
    await expect.poll(() => seen(6, 'n1').catch(String), { timeout: 30_000 }).toBe('1');
    // A commit of one's own tells when what one sees is safe, also one that writes to no table.
    const own = await waiting(7, 'select 1', "select pg_logical_emit_message(true, '', '')");
    signal(silent, 'SIGCONT');
    expect(await own.answer).toBe('success');
    await arrives(6);
  });
});
