/**
 * `npm run chaos -- [--rounds N] [--topology T] [--seed S] [--postgres V] [--longest SECONDS] [--json]`: faults on real
 * clusters. Makes the network and the folder, starts driver.ts inside, and takes everything away again, however it ends.
 */
import { fork } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cleanUpAll, cleanUpWith } from '../test/support/cleanup.ts';
import { ensureBuilt, ROOT } from '../test/support/built.ts';
import { clearLeftovers } from '../test/support/leftovers.ts';
import { whyNoEngine } from '../test/support/scenes.ts';
import { makeFolder, sweepStale } from '../test/support/stale.ts';
import { makeTestVolume } from '../test/support/volume.ts';
import { volumeFacts } from '../src/volume/facts.ts';
import { FAR, NEAR, OPS } from './net/nodes.ts';
import { createNetwork, destroyNetwork, inside, sweepNetworks, whyNoNetwork } from './net/network.ts';
import { noResult, type RoundResult } from './round.ts';
import type { SessionNews, SessionOrder } from './session.ts';
import { topologyOf, TOPOLOGIES, type TopologyName } from './topologies.ts';

const VOLUME_SIZE = 3 * 1024 ** 3;
const USAGE = `usage: npm run chaos -- [--rounds N] [--topology ${TOPOLOGIES.join('|')}|all] [--seed S] [--postgres 15|18] [--longest SECONDS] [--json]`;

interface Options {
  rounds: number;
  topologies: TopologyName[];
  seed: number;
  version: number | null;
  /** ms of faults a round at most. */
  longest: number;
  json: boolean;
}

interface Played extends RoundResult {
  topology: TopologyName;
  postgres: number;
  /** What happened, with seconds since the round began. */
  timeline: string[];
  evidence: string | null;
}

const started = performance.now();
const say = (text: string): void => console.error(`${((performance.now() - started) / 1000).toFixed(1).padStart(7)} s  ${text}`);

let interrupted = false;
// Terminals and npm send the same signal more than once: the first one cleans up, and nothing interrupts that.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => (interrupted = true));
process.exitCode = await main();

function readOptions(): Options | null {
  try {
    const { values } = parseArgs({
      options: {
        rounds: { type: 'string', default: '6' },
        topology: { type: 'string', default: 'three-node' },
        seed: { type: 'string', default: '1' },
        postgres: { type: 'string' },
        longest: { type: 'string', default: '30' },
        json: { type: 'boolean', default: false },
      },
    });
    const number = (text: string, least: number): number => {
      const value = Number(text);
      if (!Number.isInteger(value) || value < least) throw new Error(`"${text}" is no number of that kind`);
      return value;
    };
    const topologies = values.topology === 'all' ? [...TOPOLOGIES] : TOPOLOGIES.filter((name) => name === values.topology);
    if (topologies.length === 0) throw new Error(`there is no topology "${values.topology}"`);
    return {
      topologies, rounds: number(values.rounds, 1), seed: number(values.seed, 0), json: values.json,
      version: values.postgres === undefined ? null : number(values.postgres, 15), longest: number(values.longest, 1) * 1000,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    return null;
  }
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === null) return 2;
  const reason = await whyNoNetwork();
  if (reason !== null) {
    if (options.json) console.log(JSON.stringify({ skipped: reason, rounds: [], passed: 0, failed: 0, acknowledged: 0 }));
    else console.log(`skipped: ${reason}`);
    return 0;
  }
  const played: Played[] = [];
  try {
    await ensureBuilt();
    await sweepNetworks();
    await sweepStale();
    for (const topology of options.topologies) {
      // A cluster that failed is not played on: the rounds that are left have a new one.
      for (let done = 0; done < options.rounds && !interrupted;) {
        const session = await playSession(options, topology, options.seed + done, options.rounds - done);
        played.push(...session.played);
        if (session.hopeless) break;
        done += session.played.length;
      }
    }
  } finally {
    await cleanUpAll();
  }
  return conclude(options, played);
}

function conclude(options: Options, rounds: readonly Played[]): number {
  const failed = rounds.filter((round) => round.failures.length > 0);
  const acknowledged = rounds.reduce((sum, round) => sum + round.acknowledged, 0);
  const passed = rounds.length - failed.length;
  for (const round of failed) {
    console.error(`seed ${round.seed} (${round.topology}, PostgreSQL ${round.postgres}): ${round.failures.join('\n  ')}`);
    console.error(`  again: npm run chaos -- --rounds 1 --seed ${round.seed} --topology ${round.topology} --postgres ${round.postgres} --longest ${options.longest / 1000}; kept: ${round.evidence ?? 'nothing'}`);
  }
  if (options.json) console.log(JSON.stringify({ skipped: null, rounds, passed, failed: failed.length, acknowledged }, null, 2));
  else console.log(`${passed} rounds passed, ${failed.length} failed, ${acknowledged} acknowledged commits checked`);
  return failed.length === 0 ? 0 : 1;
}

/** Rounds of one cluster, until the first that fails; at least one. `hopeless`: another cluster would do no better. */
async function playSession(options: Options, topology: TopologyName, seed: number, rounds: number): Promise<{ played: Played[]; hopeless: boolean }> {
  const version = options.version ?? versionFor(seed);
  say(`${topology}, PostgreSQL ${version}, seeds from ${seed}`);
  const folder = await makeFolder();
  const prefix = `pgo-chaos-${process.pid}-`;
  const undo = cleanUpWith(async () => {
    await destroyNetwork(prefix);
    await clearLeftovers(folder);
    await rm(folder, { recursive: true, force: true });
  });
  const played: Played[] = [];
  let hopeless = false;
  try {
    const network = await createNetwork([...topologyOf(topology).hosts, NEAR, FAR, OPS]);
    const volume = topologyOf(topology).storage === 'shared' ? await makeVolume(folder) : null;
    const order: SessionOrder = { folder, network, topology, version, volume, seed, rounds, longest: options.longest };
    await drive(order, (news) => {
      played.push({ ...news.result, topology, postgres: version, timeline: news.timeline, evidence: news.evidence });
      report(played.at(-1) as Played);
      hopeless = news.hopeless === true;
    });
    if (played.length === 0) throw new Error('no round was played');
  } catch (error) {
    say(`the session failed: ${(error as Error).message}`);
    hopeless = true;
    played.push({ ...noResult(seed + played.length), topology, postgres: version, timeline: [], evidence: null, failures: [(error as Error).message] });
  } finally {
    await undo();
  }
  return { played, hopeless };
}

/** Debian's 15 and the newest in turn, where both are here. */
function versionFor(seed: number): number {
  return seed % 2 === 0 && whyNoEngine(15) === null ? 15 : 18;
}

/** On the machine's own disk: all hosts share it. */
async function makeVolume(folder: string): Promise<{ path: string; driver: string }> {
  const facts = await volumeFacts();
  if (facts.loop && facts.btrfsProgs && facts.kernelBtrfs) return { path: (await makeTestVolume({ fs: 'btrfs', size: VOLUME_SIZE })).path, driver: 'btrfs' };
  const path = join(folder, 'volume');
  await mkdir(path, { mode: 0o755 });
  return { path, driver: 'copy' };
}

/** Runs the driver inside the network, to its end. Throws where it ends badly. */
function drive(order: SessionOrder, onRound: (news: SessionNews & { kind: 'round' }) => void): Promise<void> {
  const ops = order.network.nodes[OPS];
  if (ops === undefined) throw new Error('the network has no place for the driver');
  const [execPath, ...execArgv] = inside(ops, [process.execPath, join(ROOT, 'scripts', 'run.mjs')]);
  const child = fork(join(ROOT, 'chaos', 'driver.ts'), [JSON.stringify(order)], { execPath, execArgv, cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.on('message', (news: SessionNews) => {
    if (news.kind === 'say') say(news.text);
    else onRound(news);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => (code === 0 ? resolve() : reject(new Error(`the driver ended with ${signal ?? code}`))));
  });
}

function report(round: Played): void {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  const verdict = round.failures.length === 0 ? 'passed' : `FAILED: ${round.failures.join('; ')}`;
  say(`seed ${round.seed}: ${verdict}; ${round.acknowledged} acknowledged, longest gap ${seconds(round.gapMs)}, healthy ${seconds(round.healedMs)} after: ${round.faults.join(', ')}`);
  for (const remark of round.remarks) say(`         ${remark}`);
}
