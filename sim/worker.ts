/** A worker of pool.ts: runs the seeds that it is sent. */
import type { Batch } from './pool.ts';
import { runSeed } from './run.ts';

// A failing seed is run again by itself, and tells then where it came from.
Error.stackTraceLimit = 0;

process.on('message', ({ first, count, topology }: Batch) => {
  const seeds = Array.from({ length: count }, (_, i) => first + i);
  process.send?.(seeds.map((seed) => runSeed({ seed, ...(topology === null ? {} : { topology }) })));
});
// Nobody is left to work for.
process.on('disconnect', () => process.exit(0));
