/**
 * What a commit that waits costs: TPC-B on one primary with `ANY 1` on a pgorbit logger, on a stock standby and on
 * `pg_receivewal --synchronous`, and asynchronous, in turn. Only the one that is waited for runs.
 */
import { cleanUpWith } from '../test/support/cleanup.ts';
import { runProgram } from '../test/support/program.ts';
import { TestPostgres } from '../src/wal/testing/postgres.ts';
import type { Bench, Row } from './lib/bench.ts';
import { initialise, readLoad, tool, VERSION } from './lib/pgbench.ts';
import { cpuSeconds } from './lib/proc.ts';
import { asynchronous, loggerOf, receivewalOf, setNames, standbyOf, waitFor, type Receiver } from './lib/receivers.ts';
import { median, ratio, significant } from './lib/stats.ts';

/** At least as many branches as clients: else they wait for each other's rows, and nothing else is measured. */
const SCALE = 32;
const CLIENTS = [8, 32];
/**
 * Of each of eight clients, before anything is measured: JavaScript has its own speed once it is compiled, after some
 * 3,000 flushes, and a logger in use has long been.
 */
const BEFORE_TRANSACTIONS = 500;

export const bench: Bench = {
  summary: 'TPC-B with ANY 1 on a logger, on a standby and on pg_receivewal --synchronous, in turn',
  run: async ({ quick, only, say }) => {
    const undo: (() => Promise<void>)[] = [];
    const owned = <T extends { destroy(): Promise<void> }>(one: T): T => {
      undo.push(cleanUpWith(() => one.destroy()));
      return one;
    };
    try {
      // Neither checkpoints nor an autovacuum within a run: they would meet some runs and not others.
      const primary = owned(await TestPostgres.create(VERSION, { settings: { shared_buffers: '512MB', max_connections: 100, max_wal_size: '8GB', min_wal_size: '1GB', checkpoint_timeout: '1h', wal_keep_size: '8GB' } }));
      const uri = `postgresql://postgres@127.0.0.1:${primary.port}/postgres`;
      await initialise(uri, quick ? 8 : SCALE);
      const receivers: Receiver[] = [asynchronous, owned(await loggerOf(primary)), owned(await standbyOf(primary)), owned(receivewalOf(primary))];
      const rows: Row[] = [];
      const rounds = Number(only.rounds ?? (quick ? 1 : 5));
      for (let round = 1; round <= rounds; round += 1) {
        for (let turn = 0; turn < receivers.length; turn += 1) {
          const receiver = receivers[(turn + round) % receivers.length]!;
          // The more transactions since a checkpoint, the fewer full-page images: as many for each of them.
          await primary.value('checkpoint');
          await receiver.start();
          await waitFor(primary, receiver);
          await load(uri, 8, ['-t', String(quick ? 50 : BEFORE_TRANSACTIONS)]);
          const pids = receiver.pids();
          const used = (): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
          for (const clients of CLIENTS) {
            const seconds = quick ? 3 : 10;
            const before = used();
            const { tps, errors } = await load(uri, clients, ['-T', String(seconds)]);
            if (errors.length > 0) throw new Error(`pgbench: ${errors[0]}`);
            rows.push({ round, waitsFor: receiver.name, clients, tps: Math.round(tps), latencyMs: significant((clients * 1000) / tps), cpuUs: Math.round(((used() - before) * 1e6) / (tps * seconds)) });
            say(`round ${round}, ${clients} clients, ${receiver.name}: ${Math.round(tps)} transactions a second`);
          }
          await setNames(primary, '');
          await receiver.stop();
        }
      }
      return { rows, ratios: ratiosOf(rows) };
    } finally {
      for (const one of undo.toReversed()) await one();
    }
  },
};

async function load(uri: string, clients: number, until: string[]): Promise<ReturnType<typeof readLoad>> {
  const { code, stdout, stderr } = await runProgram(tool('pgbench'), ['-n', '-c', String(clients), '-j', '2', ...until, uri]);
  return readLoad(code, stdout, stderr);
}

/** Medians, of processor time too, and the logger's ratio to each other of the same round, the median of the rounds. */
function ratiosOf(rows: readonly Row[]): Record<string, number | null> {
  const found: Record<string, number | null> = {};
  for (const clients of CLIENTS) {
    const of = (name: Receiver['name'], what = 'tps'): number[] => rows.filter((row) => row['clients'] === clients && row['waitsFor'] === name).map((row) => Number(row[what]));
    const logger = of('logger');
    for (const name of ['asynchronous', 'logger', 'standby', 'pg_receivewal'] as const) found[`${clients}_clients_${name}_tps`] = significant(median(of(name)));
    for (const name of ['logger', 'standby', 'pg_receivewal'] as const) found[`${clients}_clients_${name}_cpu_us_a_transaction`] = significant(median(of(name, 'cpuUs')));
    for (const name of ['asynchronous', 'standby', 'pg_receivewal'] as const) {
      const other = of(name);
      found[`${clients}_clients_logger_over_${name}`] = significant(median(logger.map((tps, i) => ratio(tps, other[i] ?? null) ?? 0)));
    }
  }
  return found;
}
