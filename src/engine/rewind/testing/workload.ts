/** For tests: statements of every kind that changes files, from a seed. */
import type { Client } from 'pg';
import type { TestPostgres } from '../../../wal/testing/postgres.ts';

/** A number from 0 to below `n` each time, the same for the same seed (mulberry32). */
export function random(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

type Pick = (n: number) => number;
const rows = (r: Pick, table: string): string =>
  `insert into ${table} select ${r(1e9)} + g, md5((g * ${1 + r(1000)})::text), case when g % 50 = 0 then (select string_agg(md5((g * k)::text), '') from generate_series(1, 200) k) end from generate_series(1, ${1 + r(2000)}) g`;
const make = (table: string): string => `create table if not exists ${table} (id bigint, note text, long text)`;

/** Each step is run as its statements, one by one. */
const STEPS: ((r: Pick) => string[])[] = [
  ...Array.from({ length: 6 }, () => (r: Pick) => [rows(r, `t${r(4)}`)]),
  (r) => [`update t${r(4)} set note = note || 'u' where id % ${2 + r(20)} = 0`],
  (r) => [`update t${r(4)} set long = repeat(note, ${r(300)}) where id % ${20 + r(40)} = 0`],
  (r) => [`delete from t${r(4)} where id % ${2 + r(9)} = 0`],
  (r) => [`vacuum t${r(4)}`],
  (r) => [`vacuum full t${r(4)}`],
  (r) => [`delete from t${r(4)} where id % 3 > 0`, `vacuum (truncate) t${r(4)}`],
  (r) => [`truncate t${r(4)}`],
  (r) => { const t = `t${r(4)}`; return [`drop table ${t}`, make(t), rows(r, t)]; },
  (r) => { const t = `x${r(1e6)}`; return [make(t), rows(r, t), `create index on ${t} (id)`]; },
  (r) => { const t = `x${r(1e6)}`; return [make(t), rows(r, t), `drop table ${t}`]; },
  (r) => [`create index on t${r(4)} (note)`],
  (r) => { const t = r(4); return [`drop index if exists h${t}`, `create index h${t} on t${t} using hash (note)`]; },
  (r) => [`reindex table t${r(4)}`],
  (r) => [`create unlogged table u${r(1e6)} as select g from generate_series(1, 1000) g`],
  (r) => [`create database d${r(1e6)} strategy = wal_log`],
  (r) => { const d = `d${r(1e6)}`; return [`create database ${d} strategy = file_copy`, ...(r(2) ? [`drop database ${d}`] : [])]; },
  (r) => [`select nextval('s') from generate_series(1, ${r(100)})`],
  (r) => ['begin', rows(r, `t${r(4)}`), `prepare transaction 'p${r(1e9)}'`],
  (r) => ['begin', rows(r, `t${r(4)}`), 'savepoint a', rows(r, `t${r(4)}`), 'rollback to a', r(2) ? 'rollback' : 'commit'],
  (r) => [`select pg_logical_emit_message(false, 'x', repeat('m', ${r(300_000)}))`],
  () => ['select pg_switch_wal()'],
  () => ['checkpoint'],
];

export async function prepare(client: Client): Promise<void> {
  await client.query('create sequence s');
  for (let t = 0; t < 4; t++) {
    await client.query(make(`t${t}`));
    await client.query(`create index on t${t} (id)`);
  }
}

/**
 * Runs `steps` of them; with `checkpoints: false` none that writes one. A statement that waits for a lock of a prepared
 * transaction is given up.
 */
export async function work(server: TestPostgres, seed: number, steps: number, options: { checkpoints: boolean }): Promise<void> {
  const r = random(seed);
  const client = await server.connect();
  await client.query(`set lock_timeout = '200ms'; set maintenance_work_mem = '64MB'`);
  for (let step = 0; step < steps; step++) {
    const statements = STEPS[r(STEPS.length)]!(r);
    if (!options.checkpoints && statements.some((text) => /^(checkpoint|create database|drop database)/.test(text))) continue;
    for (const text of statements) {
      try {
        await client.query(text);
      } catch (error) {
        if (!EXPECTED.has((error as { code?: string }).code ?? '')) throw error;
        await client.query('rollback');
        break;
      }
    }
  }
  await client.end();
}

/** Lock not available, undefined table or index (its creation was given up), database in use, no free prepared slot. */
const EXPECTED = new Set(['55P03', '42P01', '55006', '53200', '53400']);
