/** Many seeds at once: a process for each core, each given the next few seeds when it has done the last. */
import { fork, type ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Outcome } from './run.ts';
import type { TopologyName } from './world/topology.ts';

/** What a worker is sent; it answers with as many outcomes. */
export interface Batch {
  first: number;
  count: number;
  topology: TopologyName | null;
}

const BATCH = 10;
/** A life leaves much garbage and nothing else: room for it in MB, so that it is seldom collected. */
const YOUNG = ['--max-semi-space-size=32'];
const LAUNCHER = fileURLToPath(new URL('../scripts/run.mjs', import.meta.url));
const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));

export interface PoolOptions {
  first: number;
  count: number;
  /** Batches are handed out until then, by performance.now(). */
  until: number;
  topology: TopologyName | null;
  onOutcome: (outcome: Outcome) => void;
}

/** Resolves when every seed that was handed out has an outcome. @throws where a worker dies. */
export async function runPool(options: PoolOptions): Promise<void> {
  const state = { next: options.first };
  const end = options.first + options.count;
  const take = (): Batch | null => {
    if (state.next >= end || performance.now() >= options.until) return null;
    const batch = { first: state.next, count: Math.min(BATCH, end - state.next), topology: options.topology };
    state.next += batch.count;
    return batch;
  };
  const size = Math.max(1, Math.min(availableParallelism(), Math.ceil(options.count / BATCH)));
  const workers = Array.from({ length: size }, () => fork(LAUNCHER, [WORKER], { execArgv: YOUNG }));
  try {
    await Promise.all(workers.map((worker) => serve(worker, take, options.onOutcome)));
  } finally {
    for (const worker of workers) worker.kill();
  }
}

function serve(worker: ChildProcess, take: () => Batch | null, onOutcome: (outcome: Outcome) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const next = (): void => {
      const batch = take();
      if (batch === null) resolve();
      else worker.send(batch);
    };
    worker.on('message', (outcomes: Outcome[]) => {
      for (const outcome of outcomes) onOutcome(outcome);
      next();
    });
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`a worker of the simulation ended with ${code}`)));
    next();
  });
}
