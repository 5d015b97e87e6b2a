/** `npm run bench -- NAME [--json] [--quick] [--scales 10,100] [--fs btrfs,xfs] [--rounds N] [--groups shared,quorum]`: one scenario, measured. */
import { parseArgs } from 'node:util';
import { cleanUpAll } from '../test/support/cleanup.ts';
import type { Bench, BenchDocument } from './lib/bench.ts';
import { machineFacts } from './lib/machine.ts';
import { renderRows } from './lib/table.ts';

const BENCHES: Record<string, () => Promise<{ bench: Bench }>> = {
  attach: () => import('./attach.ts'),
  basebackup: () => import('./basebackup.ts'),
  space: () => import('./space.ts'),
  failover: () => import('./failover.ts'),
  commit: () => import('./commit.ts'),
  up: () => import('./up.ts'),
  scale: () => import('./scale.ts'),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    scales: { type: 'string' },
    fs: { type: 'string' },
    rounds: { type: 'string' },
    groups: { type: 'string' },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  const [name = ''] = positionals;
  const load = BENCHES[name];
  if (load === undefined || positionals.length > 1) {
    console.error(`usage: npm run bench -- NAME [--json] [--quick] [--scales N,N] [--fs btrfs,xfs] [--rounds N] [--groups shared,quorum]\nNAME is one of: ${Object.keys(BENCHES).join(', ')}`);
    return 2;
  }
  const { bench } = await load();
  const started = performance.now();
  const say = (text: string): void => console.error(`${((performance.now() - started) / 1000).toFixed(1).padStart(7)} s  ${text}`);
  const machine = machineFacts();
  say(`${name}: ${bench.summary}`);
  try {
    const { scales, fs, rounds, groups } = values;
    const only = { ...(scales === undefined ? {} : { scales }), ...(fs === undefined ? {} : { fs }), ...(rounds === undefined ? {} : { rounds }), ...(groups === undefined ? {} : { groups }) };
    const result = await bench.run({ quick: values.quick, only, say });
    const document: BenchDocument = { bench: name, machine, ...result };
    if (values.json) console.log(JSON.stringify(document, null, 2));
    else console.log(`${renderRows(result.rows)}\n${result.goals === undefined ? '' : `${renderRows(result.goals)}\n`}${renderRows(Object.entries(result.ratios).map(([figure, value]) => ({ figure, value })))}`);
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.stack : error);
    return 1;
  } finally {
    await cleanUpAll();
    say('done');
  }
}
