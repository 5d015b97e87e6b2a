/** One round: healthy, load, faults, healed, healthy again, and then everything that was promised is looked for. */
import { Prng } from '../sim/kernel/prng.ts';
import type { StatusDocument } from '../src/agent/api.ts';
import { Lifecycle, sleep } from '../src/lifecycle.ts';
import { clock, type Story } from './clients/protocol.ts';
import type { ChaosClient } from './clients/client.ts';
import type { ChaosCluster } from './cluster.ts';
import { begin, removeGuest } from './faults/carry-out.ts';
import { describeFault, drawPlan, type Fault } from './faults/plan.ts';
import { longestGap } from './history.ts';
import type { Cuts } from './net/cuts.ts';
import { makeTables, verify } from './verify.ts';

/** After the faults the cluster has to be well again within this. */
const HEALTHY_MS = 90_000;
const WRITING_MS = 30_000;
const WARM_ACKS = 20;
const SUPERVISE_MS = 500;
const OBSERVE_MS = 250;
const AFTER_MS = 500;

export interface RoundResult {
  seed: number;
  faults: string[];
  failures: string[];
  remarks: string[];
  acknowledged: number;
  transfers: number;
  /** The longest time without any acknowledgement while there were faults, and until the cluster was healthy; ms. */
  gapMs: number;
  /** From the end of the faults to a healthy cluster; ms. */
  healedMs: number;
}

export const noResult = (seed: number): RoundResult => ({ seed, faults: [], failures: [], remarks: [], acknowledged: 0, transfers: 0, gapMs: 0, healedMs: 0 });

export interface Stage {
  cluster: ChaosCluster;
  cuts: Cuts;
  load: readonly ChaosClient[];
  watch: ChaosClient;
  note: (text: string) => void;
}

/** What remains of a round beside its result, for whoever looks for the cause of a failure. */
export interface Evidence {
  stories: Story[];
  status: StatusDocument | null;
}

export async function playRound(stage: Stage, options: { seed: number; longest: number }, evidence: Evidence): Promise<RoundResult> {
  const { cluster, load, watch, note } = stage;
  const plan = drawPlan(new Prng(options.seed, 'chaos'), cluster.topology, options.longest);
  const result: RoundResult = { ...noResult(options.seed), faults: plan.faults.map(describeFault) };
  const life = new Lifecycle((error, what) => note(`${what}: ${(error as Error).message}`));
  try {
    evidence.status = await cluster.waitHealthy(HEALTHY_MS);
    const { remote, local } = await cluster.places();
    const primaryOf = (status: StatusDocument): (typeof remote)[number] => {
      const found = remote.find((place) => place.member === status.groups[0]?.primary);
      if (found === undefined) throw new Error('there is no primary');
      return found;
    };
    await makeTables(primaryOf(evidence.status));
    load.forEach((client, i) => client.start({ places: remote, first: 1 + 10 * i }));
    watch.start({ places: local, first: 100 });
    await writing(load, 'before any fault');
    observe(life, stage, evidence);
    for (const host of cluster.hosts) {
      life.every(SUPERVISE_MS, 'starting an agent', async () => {
        const outcome = await host.supervise();
        if (outcome !== null) note(outcome);
      });
    }

    const from = clock();
    note(`faults begin (the clients' clock: ${from.toFixed(0)} ms): ${result.faults.join(', ')}`);
    await playFaults(stage, plan.faults, () => evidence.status as StatusDocument);
    const healed = clock();
    note('faults are over');
    for (const host of cluster.hosts) host.release();
    await removeGuest(cluster, note);
    evidence.status = await cluster.waitHealthy(HEALTHY_MS);
    result.healedMs = clock() - healed;
    note(`healthy again after ${(result.healedMs / 1000).toFixed(1)} s`);
    await writing(load, 'after the faults');
    await sleep(AFTER_MS);
    const to = clock();
    evidence.stories = await Promise.all([...load, watch].map((client) => client.stop()));
    const acks = evidence.stories.flatMap((story) => story.acks);
    result.gapMs = longestGap(acks, from, to);
    result.transfers = evidence.stories.reduce((sum, story) => sum + story.transfers, 0);
    evidence.status = await cluster.waitHealthy(HEALTHY_MS);
    const verdict = await verify({ topology: cluster.topology, primary: primaryOf(evidence.status), places: remote, stories: evidence.stories });
    Object.assign(result, verdict);
  } catch (error) {
    result.failures.push((error as Error).message);
    note(`the round ends: ${(error as Error).stack}`);
    // What clients were told is evidence, whatever comes of the round.
    if (evidence.stories.length === 0) evidence.stories = await Promise.all([...load, watch].map((client) => client.stop().catch(() => null))).then((all) => all.filter((story) => story !== null));
  } finally {
    await life.stop();
  }
  return result;
}

/** Each at its time, and each to its end. */
async function playFaults(stage: Stage, faults: readonly Fault[], status: () => StatusDocument): Promise<void> {
  const began = performance.now();
  const outcomes = await Promise.allSettled(faults.map(async (fault) => {
    await sleep(began + fault.at - performance.now());
    const end = await begin({ ...stage, status }, fault);
    await sleep(fault.lasts);
    await end();
    if (fault.lasts > 0) stage.note(`${fault.kind} (${fault.aim}) ends`);
  }));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** Notes who leads, who is the primary, and how the group is, whenever that changes. */
function observe(life: Lifecycle, { cluster, note }: Stage, evidence: Evidence): void {
  let before = '';
  life.every(OBSERVE_MS, 'looking at the status', async () => {
    const status = await cluster.status().catch(() => null);
    const group = status?.groups[0];
    const leader = status?.agents.find((agent) => agent.state === 'leader')?.host ?? 'nobody';
    const now = group === undefined ? 'no agent answers' : `leader ${leader}, term ${group.term}, primary ${group.primary ?? 'none'}, ${group.state}${group.reason === '' ? '' : `: ${group.reason}`}`;
    if (now !== before) note(now);
    before = now;
    if (status !== null && group?.primary != null) evidence.status = status;
  });
}

/** Returns once each client's commits go on. Throws where they do not. */
async function writing(load: readonly ChaosClient[], when: string): Promise<void> {
  const before = load.map((client) => client.acks);
  const end = performance.now() + WRITING_MS;
  while (load.some((client, i) => client.acks < (before[i] as number) + WARM_ACKS)) {
    if (performance.now() > end) throw new Error(`commits are not acknowledged ${when}, for ${WRITING_MS / 1000} s`);
    await sleep(50);
  }
}
