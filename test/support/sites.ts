/** Two clusters of a test's own, each in a home of its own: the second, b, begins as the standby site of the first, a. */
import type { SiteStatus } from '../../src/site/status.ts';
import { sleep } from '../../src/lifecycle.ts';
import { askMember, targetsIn } from './ask.ts';
import { TestCluster } from './cluster.ts';
import type { Target } from './connect.ts';
import { Writer } from './writer.ts';

const WAIT_MS = 60_000;
const HEALTHY_MS = 120_000;
const POLL_MS = 100;

export class Sites {
  readonly a: TestCluster;
  readonly b: TestCluster;
  #targets: Target[] = [];

  private constructor(a: TestCluster, b: TestCluster) {
    this.a = a;
    this.b = b;
  }

  /** @param opened is called before anything runs, so that whatever comes up is destroyed. */
  static async found(manifests: { a: (cluster: TestCluster) => string; b: (cluster: TestCluster) => string }, opened: (sites: Sites) => void): Promise<void> {
    const sites = new Sites(await TestCluster.open(), await TestCluster.open({ env: { PGORBIT_CLUSTER: 'b' } }));
    opened(sites);
    const { a, b } = sites;
    await a.up(manifests.a(a));
    await askMember(a, 'create table t (i int); insert into t values (1)');
    const { token } = await a.must<{ token: string }>('host', 'admin-token');
    await b.cli('login', token);
    await b.up(manifests.b(b));
    sites.#targets = [...(await targetsIn(a)), ...(await targetsIn(b))];
  }

  /** Returns when everybody on both sites is well, and n1 and n2 of both have what is written now. */
  async whole(primary: TestCluster): Promise<void> {
    await Promise.all([this.a, this.b].map((cluster) => cluster.waitHealthy({ timeoutMs: HEALTHY_MS })));
    await askMember(primary, 'insert into t select count(*) + 1 from t');
    const all = await askMember(primary, 'select count(*) from t');
    for (const cluster of [this.a, this.b]) {
      for (const name of ['n1', 'n2']) await until(`${name} of ${cluster.name} has ${all} rows`, async () => (await countOf(cluster, name)) === all);
    }
  }

  /** Writes to whoever accepts it while `event` happens, and until writes are answered after it. Throws where an acknowledged one is missing. */
  async underWriter(event: () => Promise<void>): Promise<void> {
    const writer = await Writer.start({ targets: () => this.#targets, sessions: 4 });
    try {
      await until('some are written', async () => writer.acknowledgements.count > 100);
      const before = performance.now();
      await event();
      await writer.acknowledgedAfter(before, WAIT_MS);
    } finally {
      await writer.stop();
    }
    const { acknowledged, missing } = await writer.verify();
    if (missing.length > 0) throw new Error(`of ${acknowledged} acknowledged writes ${missing.length} are missing: ${missing.slice(0, 20).join(', ')}`);
  }

  async destroy(): Promise<void> {
    // Not the other way round: what b knows of a, as whom it manages too, would be taken for b's own.
    await this.a.destroy();
    await this.b.destroy();
  }
}

/** The rows that a member has, or why it does not say. */
export const countOf = (cluster: TestCluster, member: string): Promise<string | null> => askMember(cluster, 'select count(*) from t', member).catch(String);

export async function siteOf(cluster: TestCluster): Promise<SiteStatus> {
  const { site } = await cluster.call('GET /v1/status', {});
  if (site === undefined) throw new Error('the cluster is on its own');
  return site;
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + WAIT_MS; !(await look()); await sleep(POLL_MS)) {
    if (performance.now() > end) throw new Error(`not within ${WAIT_MS / 1000} s: ${what}`);
  }
}
