/** Runs inside the session's network, where every host is reached: one cluster, and round after round until one fails. */
import { join } from 'node:path';
import { ChaosClient } from './clients/client.ts';
import { ChaosCluster } from './cluster.ts';
import { keepEvidence } from './evidence.ts';
import { Cuts } from './net/cuts.ts';
import { FAR, NEAR, OPS } from './net/nodes.ts';
import { noResult, playRound, type Evidence, type Stage } from './round.ts';
import type { SessionNews, SessionOrder } from './session.ts';
import { topologyOf } from './topologies.ts';

const order = JSON.parse(process.argv[2] ?? '') as SessionOrder;
const tell = (news: SessionNews): Promise<void> => new Promise((resolve) => void process.send?.(news, () => resolve()));
const say = (text: string): void => void tell({ kind: 'say', text });

// Whoever started it cleans up.
const abandon = (): never => process.exit(1);
process.on('disconnect', abandon);

const homes = Object.fromEntries(topologyOf(order.topology).hosts.map((name) => [name, join(order.folder, name)]));
let notes: string[] = [];
let began = performance.now();
const note = (text: string): void => {
  notes.push(`${((performance.now() - began) / 1000).toFixed(2).padStart(7)}  ${text}`);
};

await main();
process.off('disconnect', abandon);
process.disconnect();

async function main(): Promise<void> {
  const { network } = order;
  const cluster = await ChaosCluster.up({ ...order, topology: topologyOf(order.topology), say }).catch(async (error: Error) => {
    await tellFailure(error);
    return null;
  });
  if (cluster === null) return;
  const at = (name: string): (typeof network.nodes)[string] => network.nodes[name] as (typeof network.nodes)[string];
  const load = [new ChaosClient('near', at(NEAR), 'load'), new ChaosClient('far', at(FAR), 'load')];
  const watch = new ChaosClient('watch', at(OPS), 'watch');
  const stage: Stage = { cluster, cuts: new Cuts(network), load, watch, note };
  try {
    for (let seed = order.seed; seed < order.seed + order.rounds; seed += 1) if (!(await play(stage, seed))) return;
  } finally {
    for (const client of [...load, watch]) client.end();
  }
}

async function play(stage: Stage, seed: number): Promise<boolean> {
  notes = [];
  began = performance.now();
  const evidence: Evidence = { stories: [], status: null };
  const result = await playRound(stage, { seed, longest: order.longest }, evidence);
  const failed = result.failures.length > 0;
  await tell({ kind: 'round', result, timeline: notes, evidence: failed ? await keepEvidence(homes, stage.cluster, result, notes, evidence) : null });
  return !failed;
}

/** The cluster did not come up: there is no use in more rounds. */
async function tellFailure(error: Error): Promise<void> {
  const result = { ...noResult(order.seed), failures: [error.message] };
  await tell({ kind: 'round', result, timeline: notes, evidence: await keepEvidence(homes, null, result, notes, { stories: [], status: null }), hopeless: true });
}
