/**
 * Three hosts on one machine, `storage: local`, `commit: quorum`: a primary, a replica and a logger. A client
 * writes one row a commit, looks for the writable server among all, and remembers what it was promised.
 */
import { sleep } from '../../src/lifecycle.ts';
import { targetsIn } from '../../test/support/ask.ts';
import { TestCluster } from '../../test/support/cluster.ts';
import type { Target } from '../../test/support/connect.ts';
import { processesOf, signal } from '../../test/support/host.ts';
import { quorumManifest } from '../../test/support/manifest.ts';
import { Writer } from '../../test/support/writer.ts';
import type { BenchContext, BenchResult, Row } from '../lib/bench.ts';
import { initialise, VERSION } from '../lib/pgbench.ts';
import { seconds } from '../lib/stats.ts';
import { goalRow, type Figure } from './goals.ts';

/** As where the peers were measured: one client. More of them mostly measure their own attempts to log in, on two cores. */
const SESSIONS = 1;
/** A client that hears nothing for so long looks elsewhere. */
const ANSWER_MS = 1000;
const WRITABLE_MS = 60_000;
const BACK_MS = 120_000;
/** How long a host stays frozen after its successor has opened, and how long its stale answers are waited for. */
const FROZEN_MS = 1000;
const STALE_MS = 3000;

type Step = Exclude<Figure, 'old primary back' | 'empty folder to healthy'>;

/** Rounds, and what they come to. */
export async function quorum(context: BenchContext): Promise<BenchResult> {
  const rounds = Number(context.only.rounds ?? (context.quick ? 1 : 5));
  const ups: number[] = [];
  for (let round = 1; round < rounds; round += 1) {
    const { cluster, ms } = await bringUp();
    await cluster.destroy();
    context.say(`up ${round}: healthy in ${seconds(ms)} s`);
    ups.push(seconds(ms));
  }
  const { cluster, ms } = await bringUp();
  ups.push(seconds(ms));
  const rows: Row[] = [];
  try {
    await initialise(await cluster.uri(), context.quick ? 1 : 5);
    const bench = new QuorumBench(context, cluster, await targetsIn(cluster));
    for (let round = 1; round <= rounds; round += 1) {
      for (const step of Object.keys(STEPS) as Step[]) rows.push(await bench.round(step, round));
    }
  } catch (error) {
    context.say(`the end of the logs:\n${await cluster.logs()}`);
    throw error;
  } finally {
    await cluster.destroy();
  }
  const of = (step: string, column: string): number[] => rows.filter((row) => row['step'] === step).map((row) => Number(row[column]));
  const sum = (column: string): number => rows.reduce((all, row) => all + Number(row[column]), 0);
  return {
    rows,
    goals: [
      ...(Object.keys(STEPS) as Step[]).map((step) => goalRow(step, of(step, 'gap'))),
      goalRow('old primary back', of('postgres killed', 'back')),
      goalRow('empty folder to healthy', ups),
    ],
    ratios: { quorum_acknowledged: sum('acknowledged'), quorum_acknowledged_missing: sum('missing'), quorum_stale_acknowledgements: sum('stale') },
  };
}

async function bringUp(): Promise<{ cluster: TestCluster; ms: number }> {
  const cluster = await TestCluster.open();
  const started = performance.now();
  try {
    await cluster.up(quorumManifest({ cluster: 'bench', version: VERSION, firstPort: cluster.firstPort }));
  } catch (error) {
    await cluster.destroy();
    throw error;
  }
  return { cluster, ms: performance.now() - started };
}

/** What is done to the primary's host; the answer undoes it, once writes are answered again. */
const STEPS: Record<Step, (bench: QuorumBench, primary: { name: string; host: string }) => Promise<(() => Promise<void>) | null>> = {
  'postgres killed': async ({ cluster }, { name }) => {
    await cluster.kill(name);
    return null;
  },
  'host frozen': async ({ cluster }, { host }) => {
    const pids = await processesOf(cluster, host);
    signal(pids, 'SIGSTOP');
    return async () => {
      await sleep(FROZEN_MS);
      signal(pids, 'SIGCONT');
      await sleep(STALE_MS);
    };
  },
  'host lost': lose,
  'host of the leading agent lost': lose,
  switchover: async ({ cluster }) => {
    await cluster.must('switchover');
    return null;
  },
};

async function lose({ cluster }: QuorumBench, { host }: { host: string }): Promise<() => Promise<void>> {
  signal(await processesOf(cluster, host), 'SIGKILL');
  return async () => void (await cluster.must('up'));
}

class QuorumBench {
  readonly context: BenchContext;
  readonly cluster: TestCluster;
  readonly #targets: readonly Target[];
  #turn = 0;

  constructor(context: BenchContext, cluster: TestCluster, targets: readonly Target[]) {
    this.context = context;
    this.cluster = cluster;
    this.#targets = targets;
  }

  async round(step: Step, round: number): Promise<Row> {
    const { cluster, context } = this;
    await this.#place(step);
    const primary = await cluster.primary();
    const writer = await Writer.start({ targets: () => this.#anyOrder(), sessions: SESSIONS, answerMs: ANSWER_MS });
    // Sessions that stay with the old primary, however long it says nothing: what they hear of it later would be stale.
    const old = this.#targets.find(({ port }) => port === primary.port)!;
    let pinned = true;
    const loyal = await Writer.start({ targets: () => (pinned ? [old] : this.#targets), table: 'loyal_log', sessions: 2, answerMs: BACK_MS });
    try {
      await sleep(context.quick ? 1000 : 2000);
      const began = performance.now();
      const undo = await STEPS[step](this, primary);
      const opened = await writer.acknowledgedAfter(began, WRITABLE_MS);
      await undo?.();
      await this.#back(primary.name);
      const back = performance.now() - began;
      await this.#whole();
      // Before the sessions end, so that no gap is taken for the end.
      const gap = writer.longestGap(began - 500, opened + 500).ms;
      await writer.stop();
      const now = await cluster.primary();
      const stale = now.name === primary.name ? 0 : loyal.acknowledgements.countBetween(opened, Infinity);
      pinned = false;
      await loyal.stop();
      const verdicts = [await writer.verify(), await loyal.verify()];
      const missing = verdicts.reduce((sum, one) => sum + one.missing.length, 0);
      context.say(`${step} ${round}: ${primary.name} -> ${now.name}, no commit for ${seconds(gap)} s, ${primary.name} back after ${seconds(back)} s, ${missing} missing, ${stale} stale`);
      return { group: 'quorum', step, round, from: primary.name, to: now.name, gap: seconds(gap), back: seconds(back), acknowledged: verdicts.reduce((sum, one) => sum + one.acknowledged, 0), missing, stale };
    } finally {
      pinned = false;
      await writer.stop();
      await loyal.stop();
    }
  }

  /** Each session begins with another server, as with libpq's load_balance_hosts. */
  #anyOrder(): readonly Target[] {
    this.#turn += 1;
    const first = this.#turn % this.#targets.length;
    return [...this.#targets.slice(first), ...this.#targets.slice(0, first)];
  }

  /** The old primary streams from the new one; or it is the primary again. */
  async #back(name: string): Promise<void> {
    const end = performance.now() + BACK_MS;
    for (;;) {
      const { primary, members } = await this.cluster.group().catch(() => ({ primary: null, members: [] }));
      const { state, role } = members.find((one) => one.name === name) ?? {};
      if (primary === name ? state === 'running' : primary !== null && role === 'replica' && state === 'streaming') return;
      if (performance.now() > end) throw new Error(`${name} did not come back: it is ${state}`);
      await sleep(20);
    }
  }

  /** Everybody is well, and confirms commits. */
  async #whole(): Promise<void> {
    const end = performance.now() + BACK_MS;
    for (;;) {
      await this.cluster.waitHealthy({ members: 3, timeoutMs: BACK_MS });
      if ((await this.cluster.group()).members.filter((one) => one.synchronous).length === 2) return;
      if (performance.now() > end) throw new Error('the replica and the logger do not confirm commits again');
      await sleep(50);
    }
  }

  /** The primary on the host of the agent that leads, or on another one, as the step wants. */
  async #place(step: Step): Promise<void> {
    await this.#whole();
    const wanted = step === 'host of the leading agent lost';
    if (!wanted && step !== 'host lost') return;
    for (let tries = 0; tries < 10; tries += 1) {
      const leader = (await this.cluster.status()).agents.find(({ state }) => state === 'leader')?.host;
      const primary = (await this.cluster.primary()).host;
      if (leader !== undefined && (leader === primary) === wanted) return;
      // The logger's host has no postgres: another agent has to lead.
      if (wanted && leader === 'h3') {
        await this.cluster.killAgent('h3');
        await sleep(5000);
        await this.cluster.must('up');
      } else {
        await this.cluster.must('switchover');
      }
      await this.#whole();
    }
    throw new Error('the primary could not be brought to where the step wants it');
  }
}
