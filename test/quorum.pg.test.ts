/** A quorum group on local storage, two copies of the data and a logger: nothing acknowledged is lost, whoever dies. */
import { readlinkSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withDescendants } from '../src/engine/proc.ts';
import { sleep } from '../src/lifecycle.ts';
import { askMember, targetsIn } from './support/ask.ts';
import { TestCluster } from './support/cluster.ts';
import type { Target } from './support/connect.ts';
import { processesOf, signal } from './support/host.ts';
import { quorumManifest } from './support/manifest.ts';
import { Writer } from './support/writer.ts';
import { onVersion } from './support/versions.ts';

const WRITABLE_MS = 60_000;

describe.each(onVersion(18))('a quorum group of PostgreSQL %i', (version) => {
  let cluster: TestCluster;
  let targets: Target[];

  beforeAll(async () => {
    cluster = await TestCluster.open();
    await cluster.up(quorumManifest({ cluster: 'quorum', version, firstPort: cluster.firstPort, settings: { shared_buffers: '32MB', wal_level: version >= 17 ? 'logical' : 'replica' } }));
    targets = await targetsIn(cluster);
  });
  afterAll(() => cluster?.destroy());

  /** Writes while `event` happens and until writes are answered after it; then nothing acknowledged may be missing. */
  async function underWriter(event: () => Promise<void>): Promise<void> {
    const writer = await Writer.start({ targets: () => targets, sessions: 4 });
    try {
      await expect.poll(() => writer.acknowledgements.count, { timeout: WRITABLE_MS }).toBeGreaterThan(100);
      const before = performance.now();
      await event();
      await writer.acknowledgedAfter(before, WRITABLE_MS);
    } finally {
      await writer.stop();
    }
    expect(await writer.verify()).toMatchObject({ missing: [] });
  }

  /** All members are well again, and have the same rows. */
  async function whole(): Promise<void> {
    await cluster.waitHealthy({ members: 3 });
    const count = await askMember(cluster, 'select count(*) from writer_log');
    for (const name of ['n1', 'n2']) await expect.poll(() => askMember(cluster, 'select count(*) from writer_log', name).catch(String), { timeout: 20_000 }).toBe(count);
  }

  /** n1 is the primary, with everybody voting. */
  async function fromN1(): Promise<void> {
    await cluster.waitHealthy({ members: 3 });
    if ((await cluster.group()).primary !== 'n1') await cluster.must('switchover', '--to', 'n1');
    await cluster.waitHealthy({ members: 3 });
    await expect.poll(async () => (await cluster.group()).members.filter((one) => one.synchronous).length, { timeout: 20_000 }).toBe(2);
  }

  test('asks one of the other two voters for every commit, under a name that carries the term', async () => {
    expect(await askMember(cluster, 'show synchronous_standby_names')).toBe('ANY 1 ("n2@1", "n3@1")');
    expect(await askMember(cluster, "select string_agg(application_name, ',' order by application_name) from pg_stat_replication")).toBe('n2@1,n3@1');
  });

  test('kill -9 of the primary: the replica takes over, and the old one comes back', async () => {
    await fromN1();
    await underWriter(async () => void (await cluster.kill('n1')));
    await whole();
    expect(await cluster.group()).toMatchObject({ primary: 'n2' });
  });

  test('its data are gone, and its postgres: the replica takes over, and it is copied anew', async () => {
    await fromN1();
    const { pid } = await cluster.member('n1');
    const storage = join(readlinkSync(`/proc/${pid}/cwd`), '..');
    const family = withDescendants([pid ?? 0]);
    await underWriter(async () => {
      renameSync(storage, `${storage}.lost`);
      signal(family, 'SIGKILL');
    });
    await whole();
    expect((await cluster.group()).primary).toBe('n2');
    rmSync(`${storage}.lost`, { recursive: true });
  });

  test('kill -9 in the midst of a bulk load: where the WAL ends within a record, too, what the logger has is enough', async () => {
    await fromN1();
    for (const moment of [400, 900]) {
      const { primary } = await cluster.group();
      await underWriter(async () => {
        const loading = askMember(cluster, "select pg_logical_emit_message(false, 'bulk', repeat('x', 30000)) from generate_series(1, 1000000)").catch(String);
        await sleep(moment);
        await cluster.kill(primary ?? '');
        await loading;
      });
      await whole();
    }
  });

  test.skipIf(version < 17)('a logical slot made for failover goes on at the new primary', async () => {
    await fromN1();
    await askMember(cluster, 'create table told (id int primary key); create publication news for table told');
    await askMember(cluster, "select pg_create_logical_replication_slot('subscriber', 'pgoutput', false, false, true)");
    const synced = "select count(*) from pg_replication_slots where slot_name = 'subscriber' and synced and not temporary";
    await expect.poll(async () => {
      // A copy is whole when the primary's slot has gone on to where the standby began to keep what it needs.
      await askMember(cluster, 'select pg_log_standby_snapshot()');
      await askMember(cluster, "select pg_replication_slot_advance('subscriber', pg_current_wal_lsn())");
      return askMember(cluster, synced, 'n2');
    }, { timeout: 60_000, interval: 500 }).toBe('1');
    await askMember(cluster, 'insert into told values (1), (2)');
    await cluster.kill('n1');
    await cluster.waitHealthy({ members: 3 });
    expect((await cluster.group()).primary).toBe('n2');
    const changes = "select count(*) from pg_logical_slot_peek_binary_changes('subscriber', null, null, 'proto_version', '1', 'publication_names', 'news') where substr(data, 1, 1) = 'I'::bytea";
    expect(await askMember(cluster, changes)).toBe('2');
    await askMember(cluster, "select pg_drop_replication_slot('subscriber')");
  });

  test('a switchover under load', async () => {
    const { primary } = await cluster.group();
    await underWriter(async () => void (await cluster.must('switchover')));
    await whole();
    expect((await cluster.group()).primary).not.toBe(primary);
  });

  test('a frozen host is replaced, and what it had when it wakes up is taken back', async () => {
    await fromN1();
    let frozen: number[] = [];
    await underWriter(async () => {
      frozen = await processesOf(cluster, 'h1');
      signal(frozen, 'SIGSTOP');
    });
    // Not of h1's agent, which is frozen as well.
    expect((await cluster.call('GET /v1/status', {}, 'h2')).groups[0]?.primary).toBe('n2');
    signal(frozen, 'SIGCONT');
    await whole();
    expect(await cluster.group()).toMatchObject({ primary: 'n2' });
  });

  test('what only the logger has is fetched from it before anybody is promoted', async () => {
    await fromN1();
    const replica = withDescendants([(await cluster.member('n2')).pid ?? 0]);
    await underWriter(async () => {
      signal(replica, 'SIGSTOP');
      // Longer than wal_sender_timeout: what is written from then on does not even lie in a socket for it.
      await sleep(8_000);
      // With its agent, so that the old primary has no say.
      signal(await processesOf(cluster, 'h1'), 'SIGKILL');
      signal(replica, 'SIGCONT');
    });
    await cluster.must('up');
    await whole();
    const elected = (await cluster.events()).findLast((event) => event.kind === 'elected');
    expect(elected?.message).toMatch(/n2.*fetches the WAL up to .* from n3 first/);
  });

  test('a host that is lost with its agent is replaced, and comes back with `up`', async () => {
    await fromN1();
    await underWriter(async () => signal(await processesOf(cluster, 'h1'), 'SIGKILL'));
    await cluster.must('up');
    await whole();
  });

  test('without a majority nothing is acknowledged, and afterwards it goes on', async () => {
    await fromN1();
    const others = [...(await processesOf(cluster, 'h2')), ...(await processesOf(cluster, 'h3'))];
    const writer = await Writer.start({ targets: () => targets, sessions: 2 });
    try {
      await expect.poll(() => writer.acknowledgements.count, { timeout: WRITABLE_MS }).toBeGreaterThan(50);
      signal(others, 'SIGSTOP');
      await sleep(1_000);
      const { count } = writer.acknowledgements;
      await sleep(4_000);
      expect(writer.acknowledgements.count - count).toBe(0);
      const before = performance.now();
      signal(others, 'SIGCONT');
      await writer.acknowledgedAfter(before, WRITABLE_MS);
    } finally {
      signal(others, 'SIGCONT');
      await writer.stop();
    }
    expect(await writer.verify()).toMatchObject({ missing: [] });
    await whole();
  });

  test('members come and go while clients write', async () => {
    await fromN1();
    await underWriter(async () => {
      await cluster.must('add', 'replica', '--name', 'n4', '--host', 'h3');
      await cluster.must('remove', 'n3');
      await cluster.must('add', 'logger', '--name', 'n5', '--host', 'h3');
      await cluster.must('remove', 'n4');
      await cluster.must('remove', 'n5');
      await cluster.must('add', 'logger', '--name', 'n3', '--host', 'h3');
      await cluster.kill('n1');
    });
    await whole();
  });
});
