/** Two sites, each a cluster of its own: the second is a copy of the first, takes over, and hands back. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { askMember } from './support/ask.ts';
import type { TestCluster } from './support/cluster.ts';
import { processesOf, signal } from './support/host.ts';
import { quorumManifest, sharedManifest } from './support/manifest.ts';
import { countOf, siteOf, Sites } from './support/sites.ts';
import { EVERYTHING, ONLY_WITH_ALL } from './support/versions.ts';

const WAIT = { timeout: 60_000, interval: 100 };

/** Two copies on one host; names as on the first site, on purpose. The version is the other's, whatever else is installed. */
const second = (port: number): string => `
cluster: b
standby_of: a
hosts: { h1: { address: 127.0.0.1, port: ${port} } }
groups:
  main:
    storage: local
    settings: { shared_buffers: 16MB }
    members:
      n1: { host: h1, role: primary, port: ${port + 10} }
      n2: { host: h1, role: replica, port: ${port + 11} }
`;

describe('two sites, a quorum group on three hosts and two copies on one', () => {
  let sites: Sites;
  let a: TestCluster;
  let b: TestCluster;

  beforeAll(() => Sites.found({ a: ({ firstPort }) => quorumManifest({ cluster: 'a', version: 18, firstPort, settings: { shared_buffers: '16MB' } }), b: ({ firstPort }) => second(firstPort) }, (made) => {
    sites = made;
    ({ a, b } = made);
  }));
  afterAll(() => sites?.destroy());
  const whole = (primary: TestCluster): Promise<void> => sites.whole(primary);
  const underWriter = (event: () => Promise<void>): Promise<void> => sites.underWriter(event);

  test('the second follows the first by one connection, and its members follow that one', async () => {
    await whole(a);
    expect(await b.group()).toMatchObject({ primary: null, state: 'healthy' });
    expect(await b.member('n1')).toMatchObject({ role: 'replica', upstream: 'a/n1', state: 'streaming' });
    expect(await b.member('n2')).toMatchObject({ upstream: 'n1', state: 'streaming' });
    expect(await askMember(a, "select string_agg(application_name, ' ' order by application_name) from pg_stat_replication")).toBe('n2@1 n3@1 site:b');
    expect(await siteOf(a)).toMatchObject({ role: 'primary', epoch: 1, peer: { cluster: 'b', role: 'standby', answers: true } });
    expect(await siteOf(b)).toMatchObject({ role: 'standby', epoch: 1, peer: { cluster: 'a', role: 'primary', writable: true } });
    const { stdout } = await b.cli('status');
    expect(stdout).toMatch(/Site: standby, epoch 1; the other one is a, primary site, which answers/);
    expect(stdout).not.toContain('not yet');
    expect((await b.group()).members.map(({ voter }) => voter)).toEqual([false, false]);
    expect((await b.group()).engine).toMatch(/^PostgreSQL 18/);
    const again = await b.cli('up');
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('It is the standby site of a and follows it') });
    expect(again.stdout).not.toMatch(/target_session_attrs=read-write|switchover --to/);
    expect(await b.cli('switchover')).toMatchObject({ code: 3 });
    expect(await b.cli('site', 'promote', '--force')).toMatchObject({ code: 3 });
  });

  test.skipIf(!EVERYTHING)(`a failover of the first is followed (${ONLY_WITH_ALL})`, async () => {
    await underWriter(async () => void (await a.kill('n1')));
    await whole(a);
    expect((await b.member('n1')).upstream).toBe(`a/${(await a.group()).primary}`);
  });

  test.skipIf(!EVERYTHING)(`the member that follows the first dies, and goes on (${ONLY_WITH_ALL})`, async () => {
    await b.kill('n1');
    await whole(a);
    expect((await b.group()).term).toBe(1);
  });

  test('a switchover and one back, under load', async () => {
    await underWriter(async () => void (await b.must('site', 'switchover')));
    expect(await siteOf(b)).toMatchObject({ role: 'primary', epoch: 2 });
    await whole(b);
    expect(await a.group()).toMatchObject({ primary: null });
    await underWriter(async () => void (await b.must('site', 'switchover', '--to', 'a')));
    expect(await siteOf(a)).toMatchObject({ role: 'primary', epoch: 3 });
    await whole(a);
  });

  test('the first is lost as a whole, the second takes over, and the first comes back as its copy', async () => {
    const lost = (await Promise.all(['h1', 'h2', 'h3'].map((host) => processesOf(a, host)))).flat();
    const before = await countOf(a, 'n1');
    signal(lost, 'SIGKILL');
    const refused = await b.cli('site', 'promote');
    expect(refused).toMatchObject({ code: 3 });
    expect(refused.stderr).toMatch(/site promote --force/);
    const { points } = await b.must<{ points: Record<string, { lsn: string; timeline: number; time: string | null }> }>('site', 'promote', '--force');
    expect(points['main']).toMatchObject({ lsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) });
    expect(await countOf(b, 'n1')).toBe(before);
    await askMember(b, 'insert into t select generate_series(1, 100)');
    await a.must('up');
    await whole(b);
    expect(await siteOf(a)).toMatchObject({ role: 'standby', epoch: 4 });
    await underWriter(async () => void (await a.must('site', 'switchover')));
    await whole(a);
    expect(await siteOf(a)).toMatchObject({ role: 'primary', epoch: 5 });
  });

  test.skipIf(!EVERYTHING)(`detached, both go on by themselves (${ONLY_WITH_ALL})`, async () => {
    expect(await b.cli('site', 'detach')).toMatchObject({ code: 3 });
    await b.must('site', 'detach', '--yes');
    await b.waitHealthy();
    await askMember(b, 'insert into t values (0)');
    await askMember(a, 'insert into t values (0)');
    expect((await a.call('GET /v1/status', {})).site).toBeUndefined();
    await expect.poll(() => askMember(a, "select string_agg(slot_name, ' ' order by slot_name) from pg_replication_slots"), WAIT).not.toMatch(/site/);
  });
});

describe.skipIf(!EVERYTHING)(`two sites, each on a shared volume (${ONLY_WITH_ALL})`, () => {
  let sites: Sites;
  let a: TestCluster;
  let b: TestCluster;
  const shared = (cluster: TestCluster, name: string): string => sharedManifest({ cluster: name, volume: cluster.volume, firstPort: cluster.firstPort, version: 18, replicas: 1, hosts: 2, settings: { shared_buffers: '16MB' } });

  beforeAll(() => Sites.found({ a: (cluster) => shared(cluster, 'a'), b: (cluster) => shared(cluster, 'b').replace('cluster: b', 'cluster: b\nstandby_of: a') }, (made) => {
    sites = made;
    ({ a, b } = made);
  }));
  afterAll(() => sites?.destroy());

  test('the second has a copy on its volume, and clones of that', async () => {
    await sites.whole(a);
    expect([(await b.member('n1')).upstream, (await b.member('n2')).upstream]).toEqual(['a/n1', 'n1']);
  });

  test('a switchover, a failover there that takes the volume over, and a switchover back', async () => {
    await sites.underWriter(async () => void (await a.must('site', 'switchover')));
    await sites.whole(b);
    await sites.underWriter(async () => void (await b.kill('n1')));
    await sites.whole(b);
    expect((await b.group()).primary).toBe('n2');
    await sites.underWriter(async () => void (await a.must('site', 'switchover')));
    await sites.whole(a);
    expect((await siteOf(a)).epoch).toBe(3);
  });

  test('handed over to a site that is frozen: the first stays what it is until the other is asked, and one of them goes on', async () => {
    const frozen = (await Promise.all(['h1', 'h2'].map((host) => processesOf(b, host)))).flat();
    const begun = a.start(['site', 'switchover']);
    await expect.poll(async () => (await siteOf(a)).handOver, { timeout: 60_000, interval: 5 }).not.toBeNull();
    signal(frozen, 'SIGSTOP');
    await expect.poll(async () => (await siteOf(a)).handOver, WAIT).toBe('done');
    expect(await siteOf(a)).toMatchObject({ role: 'standby', epoch: 3 });
    // Only the other site can say that it will not take it.
    expect((await a.cli('site', 'switchover', '--to', 'a')).code).not.toBe(0);
    expect((await siteOf(a)).role).toBe('standby');
    await begun.stop('SIGKILL');
    signal(frozen, 'SIGCONT');
    await expect.poll(async () => [(await siteOf(a)).role, (await siteOf(b)).role].sort().join(), WAIT).toBe('primary,standby');
    await sites.whole((await siteOf(a)).role === 'primary' ? a : b);
  });

  test('the first stands still while the second is promoted by force: when it wakes up it stops, and follows', async () => {
    const primary = (await siteOf(a)).role === 'primary' ? a : b;
    const other = primary === a ? b : a;
    const frozen = (await Promise.all(['h1', 'h2'].map((host) => processesOf(primary, host)))).flat();
    signal(frozen, 'SIGSTOP');
    await other.must('site', 'promote', '--force');
    await askMember(other, 'insert into t select generate_series(1, 100)');
    signal(frozen, 'SIGCONT');
    await expect.poll(async () => (await siteOf(primary)).role, WAIT).toBe('standby');
    await sites.whole(other);
    expect((await primary.events()).map(({ kind }) => kind)).toEqual(expect.arrayContaining(['site-standby', 'group-demoted', 'rewound']));
  });

  test('down and up again, a site is what it was', async () => {
    const primary = (await siteOf(a)).role === 'primary' ? a : b;
    for (const cluster of [primary, primary === a ? b : a]) {
      await cluster.must('down');
      await cluster.must('up');
      await sites.whole(primary);
    }
  });

  test('a standby site that is destroyed tells the other', async () => {
    if ((await siteOf(a)).role !== 'primary') await a.must('site', 'switchover');
    await sites.whole(a);
    await b.must('destroy', '--yes');
    await expect.poll(async () => (await a.call('GET /v1/status', {})).site, WAIT).toBeUndefined();
    await a.waitHealthy();
    await expect.poll(() => askMember(a, 'select string_agg(slot_name, $$ $$) from pg_replication_slots'), WAIT).toBe((await a.group()).primary === 'n1' ? 'pgorbit_n2' : 'pgorbit_n1');
  });
});
