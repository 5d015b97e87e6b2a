/** For tests: a primary and its standby whose histories part, and what it takes to compare them afterwards. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { TestPostgres, command } from '../../../wal/testing/postgres.ts';
import { postgresOsUser } from '../../osuser.ts';
import { SqlSession } from '../../sql.ts';
import { type RewindResult, rewind } from '../rewind.ts';

// No power fails here; queries on a standby are waited for.
const SETTINGS = {
  fsync: 'off', max_standby_streaming_delay: -1, max_prepared_transactions: 10, wal_keep_size: '1GB', max_wal_size: '1GB', checkpoint_timeout: '1h',
  allow_in_place_tablespaces: 'on',
};

export const conninfo = (server: TestPostgres): string => `host=127.0.0.1 port=${server.port} user=postgres`;

/** A primary with data checksums and its standby, which streams. Both are in `made` as soon as they exist. */
export async function makePair(version: number, made: TestPostgres[], settings: Record<string, string | number> = {}): Promise<{ old: TestPostgres; next: TestPostgres }> {
  const old = await TestPostgres.create(version, { settings: { ...SETTINGS, ...settings } });
  made.push(old);
  await old.stop();
  // initdb turns them on by itself from 18 on.
  if (version < 18) await command(join(old.bin, 'pg_checksums'), ['--enable', '-N', '-D', old.data]);
  const next = await old.copyAsStandby({ primary_conninfo: conninfo(old) });
  made.push(next);
  await old.start();
  return { old, next };
}

/** Waits until `standby` has replayed all that `primary` has written. */
export async function caughtUp(primary: TestPostgres, standby: TestPostgres): Promise<void> {
  const lsn = await primary.value('select pg_current_wal_insert_lsn()');
  for (;;) {
    // An idle primary's last record may end before the page header that its insert position is behind.
    if ((await standby.value(`select pg_last_wal_replay_lsn() + 40 >= '${lsn}'`)) === 'true') return;
    await pause(50);
  }
}

export async function promote(server: TestPostgres): Promise<void> {
  await server.value('select pg_promote(false)');
  while ((await server.value('select pg_is_in_recovery()')) === 'true') await pause(20);
}

/** Rewinds a stopped server to a running one. */
export async function rewindTo(target: TestPostgres, source: TestPostgres, hooks: { beforeWriting?: () => Promise<void>; signal?: AbortSignal } = {}): Promise<RewindResult> {
  const sql = new SqlSession({ host: '127.0.0.1', port: source.port, user: 'postgres', password: '' });
  try {
    return await rewind({
      dataDir: target.data, source: sql, sourceName: 'the source', owner: await postgresOsUser(), onProgress: () => {},
      beforeWriting: hooks.beforeWriting ?? (async () => {}), signal: hooks.signal ?? new AbortController().signal,
    });
  } finally {
    await sql.close();
  }
}

/** Starts a rewound (or merely stopped) server as a standby of `source`, and waits until it streams and is level. */
export async function follow(target: TestPostgres, source: TestPostgres): Promise<void> {
  writeFileSync(join(target.data, 'standby.signal'), '');
  target.configure({ unix_socket_directories: target.dir, hot_standby: 'on', primary_conninfo: conninfo(source) });
  await target.start();
  while ((await target.value(`select count(*) from pg_stat_wal_receiver where status = 'streaming'`)) !== '1') await pause(50);
  await caughtUp(source, target);
}

/**
 * Every database's every table, read whole, as one line a table: rows and their hashes. Reading checks the checksums.
 * Sequences are left out: WAL has them some numbers ahead, so a standby's never equal the primary's.
 */
export async function contents(server: TestPostgres): Promise<string[]> {
  const lines: string[] = [];
  for (const database of await names(server, 'postgres', `select datname from pg_database where datallowconn and datconnlimit <> -2 order by 1`)) {
    const client = new Client({ host: '127.0.0.1', port: server.port, user: 'postgres', database });
    await client.connect();
    try {
      await client.query('set extra_float_digits = 3');
      const { rows: tables } = await client.query<{ name: string; text: string }>(`
        select oid::regclass::text as name, case relkind when 't' then 'row(chunk_id, chunk_seq, chunk_data)::text' else 't::text' end as text
        from pg_class where relkind in ('r', 'm', 't') and relpersistence = 'p' order by 1`);
      for (const { name, text } of tables) {
        const { rows } = await client.query<{ line: string }>(`select count(*) || ' ' || coalesce(sum(hashtextextended(${text}, 0)), 0) as line from ${name} t`);
        lines.push(`${database}.${name} ${rows[0]!.line}`);
      }
      lines.push(...(await indexed(client)).map((line) => `${database} ${line}`));
    } finally {
      await client.end();
    }
  }
  return lines;
}

/** For each b-tree: the rows that it finds; throws where they are not those of the table. */
async function indexed(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ index: string; tab: string; col: string }>(`
    select i.indexrelid::regclass::text as index, i.indrelid::regclass::text as tab, quote_ident(a.attname) as col
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am am on am.oid = c.relam
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where am.amname = 'btree' and i.indisvalid and i.indpred is null and c.relpersistence = 'p' and i.indrelid::regclass::text not like 'pg_toast%' order by 1`);
  const lines: string[] = [];
  for (const { index, tab, col } of rows) {
    const counts: string[] = [];
    for (const way of ['set enable_seqscan = on; set enable_indexscan = off; set enable_indexonlyscan = off; set enable_bitmapscan = off', 'set enable_seqscan = off; set enable_indexscan = on; set enable_indexonlyscan = on; set enable_bitmapscan = off']) {
      await client.query(way);
      counts.push((await client.query<{ n: string }>(`select count(*)::text as n from ${tab} where ${col} is not null`)).rows[0]!.n);
    }
    if (counts[0] !== counts[1]) throw new Error(`${index} finds ${counts[1]} of ${counts[0]} rows of ${tab}`);
    lines.push(`${index} ${counts[0]}`);
  }
  return lines;
}

async function names(server: TestPostgres, database: string, sql: string): Promise<string[]> {
  const client = new Client({ host: '127.0.0.1', port: server.port, user: 'postgres', database });
  await client.connect();
  try {
    return (await client.query<string[]>({ text: sql, rowMode: 'array' })).rows.map((row) => row[0]!);
  } finally {
    await client.end();
  }
}
