/** Writers that keep a test server busy until it is killed under them. */
import type { TestPostgres } from './postgres.ts';

export interface Load {
  /** Commits that were acknowledged so far. */
  acknowledged: () => number;
  /** Their numbers. */
  numbers: () => number[];
  /** Resolves when all writers have ended, with the acknowledged numbers. */
  ended: Promise<number[]>;
  stop: () => void;
}

/** Everything at which WAL looks different: short records, full-page images, records longer than a segment. */
export const MIXED = [
  (n: number) => `insert into load values (${n}, repeat('x', ${(n * 37) % 2000}))`,
  (n: number) => `insert into load select ${n}, md5(g::text) from generate_series(1, 50) g`,
  (n: number) => `with m as (select pg_logical_emit_message(false, 'pgorbit', repeat('m', ${(n * 7919) % 600_000}))) insert into load select ${n}, '' from m`,
  (n: number) => `with u as (update load set note = 'u' where number % 97 = ${n % 97} returning 1) insert into load select ${n}, 'u' || count(*) from u`,
];

/** Runs `clients` writers; each statement inserts its number into table `load`. */
export async function startLoad(server: TestPostgres, clients: number, statements: ((n: number) => string)[] = MIXED, first = 1): Promise<Load> {
  const acknowledged: number[] = [];
  const stopped = new AbortController();
  let next = first;
  const writers = await Promise.all(Array.from({ length: clients }, () => server.connect()));
  await writers[0]!.query('create table if not exists load (number bigint, note text)');
  const work = writers.map(async (client) => {
    try {
      while (!stopped.signal.aborted) {
        const number = next++;
        await client.query(statements[number % statements.length]!(number));
        acknowledged.push(number);
      }
      await client.end();
    } catch {
      // the server was killed: what was not acknowledged does not count
    }
  });
  return {
    acknowledged: () => acknowledged.length,
    numbers: () => [...acknowledged],
    ended: Promise.all(work).then(() => acknowledged),
    stop: () => stopped.abort(),
  };
}
