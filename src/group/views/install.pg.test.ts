import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SqlSession } from '../../engine/sql.ts';
import { postgresOsUser } from '../../engine/osuser.ts';
import { TestPostgres, VERSIONS, command } from '../../wal/testing/postgres.ts';
import { statusFile, type ViewDocument } from './document.ts';
import { STATUS_FILE, writeStatusFile } from './file.ts';
import { installViews, viewsInstalled } from './install.ts';

const POLAR = ['polar_dma_cluster_status', 'polar_dma_consensus_status', 'polar_dma_member_status'];
const ALL = ['pgorbit.members', 'pgorbit.events', ...POLAR];

const document: ViewDocument = {
  cluster: 'shop',
  groups: [{
    name: 'main', storage: 'local', commit: 'quorum', term: 7, primary: 'n1', state: 'healthy', reason: '', engine: null, operation: null, results: [], archive: null,
    members: [
      { name: 'n1', role: 'primary', host: 'h1', address: '10.0.0.1', port: 5432, pid: 1, state: 'running', step: null, timeline: 2, lsn: 'A/1000', lagBytes: 0, lagMs: 0, upstream: null, retainedBytes: null, synchronous: false, pendingRestart: [], error: null, voter: true },
      { name: 'n2', role: 'replica', host: 'h2', address: '10.0.0.2', port: 5432, pid: 1, state: 'streaming', step: null, timeline: 2, lsn: 'A/800', lagBytes: 2048, lagMs: 1500, upstream: 'n1', retainedBytes: null, synchronous: true, pendingRestart: [], error: null, voter: true, received: 'A/900' },
    ],
  }],
};
const MESSAGE = 'n1 führt in /data\\u00e9/x 节点';
const value = (at = '2026-01-02T03:04:05.678Z'): object => ({
  as_of: at,
  ...statusFile(document, 'main', 'n2', [
    { time: '2026-01-02T03:04:04Z', sequence: 1, host: 'h1', group: 'main', member: 'n1', level: 'info', kind: 'promoted', message: MESSAGE, operation: null },
  ]),
});

describe.skipIf(!Object.keys(VERSIONS).length).each(Object.keys(VERSIONS).map(Number))('PostgreSQL %i', (version) => {
  let server: TestPostgres;
  const open: SqlSession[] = [];
  const connect = (database: string, user = 'postgres', port = server.port): SqlSession => {
    const session = new SqlSession({ host: '127.0.0.1', port, user, password: '', database });
    open.push(session);
    return session;
  };
  /** One statement in a session of its own. */
  const ask = async <T extends object = Record<string, unknown>>(database: string, sql: string, user = 'postgres', port = server.port): Promise<T[]> => {
    const session = connect(database, user, port);
    try {
      return await session.query<T>(sql);
    } finally {
      await session.close();
    }
  };
  const installed = async (database: string): Promise<boolean> => {
    const session = connect(database);
    try {
      return await viewsInstalled(session);
    } finally {
      await session.close();
    }
  };
  const write = async (content: object, dataDir = server.data): Promise<boolean> => writeStatusFile(dataDir, await postgresOsUser(), content);

  beforeAll(async () => {
    server = await TestPostgres.create(version, { settings: { max_connections: 30 } });
    await ask('postgres', 'create role watcher login; grant pg_monitor to watcher; create role nobody login; create role owner login');
    await ask('postgres', 'create database shop');
    await ask('postgres', 'create database theirs owner owner');
    await write(value());
    const failures = await installViews((database) => connect(database));
    if (failures.length > 0) throw failures[0]!.error;
  });
  afterAll(async () => {
    await Promise.all(open.map((session) => session.close()));
    await server?.destroy();
  });

  test('every database that allows connections has the views, a new one from the start', async () => {
    await ask('postgres', 'create database later');
    for (const database of ['postgres', 'template1', 'shop', 'theirs', 'later']) expect([database, await installed(database)]).toEqual([database, true]);
    expect(await ask('later', 'select count(*)::int as n from polar_dma_cluster_status')).toEqual([{ n: 2 }]);
  });

  test('a database from template0 works, and has them after the next run', async () => {
    await ask('postgres', 'create database bare template template0');
    expect(await installed('bare')).toBe(false);
    expect(await installViews((database) => connect(database))).toEqual([]);
    expect(await installed('bare')).toBe(true);
  });

  test('where they are, another run executes nothing and writes no WAL', async () => {
    const texts: string[] = [];
    const spying = (database: string): SqlSession => {
      const session = connect(database);
      const query = session.query.bind(session);
      session.query = (text, ...rest) => {
        texts.push(text);
        return query(text, ...rest);
      };
      return session;
    };
    // A checkpoint or a snapshot for standbys may come between: they do not come every time.
    let written = 1;
    for (let tries = 0; written !== 0 && tries < 5; tries += 1) {
      const before = await server.value('select pg_current_wal_insert_lsn()');
      expect(await installViews(spying)).toEqual([]);
      written = Number(await server.value(`select pg_current_wal_insert_lsn() - '${before}'::pg_lsn`));
    }
    expect(written).toBe(0);
    expect(texts.length).toBeGreaterThan(3);
    expect(texts.filter((text) => !text.trimStart().startsWith('select'))).toEqual([]);
  });

  test('known databases are not even connected to, dropped ones are forgotten', async () => {
    await ask('postgres', 'create database passing');
    const known = new Set<number>();
    await installViews((database) => connect(database), known);
    const asked: string[] = [];
    const noting = (database: string): SqlSession => {
      asked.push(database);
      return connect(database);
    };
    await ask('postgres', 'drop database passing');
    const size = known.size;
    expect(await installViews(noting, known)).toEqual([]);
    expect([asked, known.size]).toEqual([['postgres'], size - 1]);
  });

  test('they show what the file says', async () => {
    const rows = await ask('shop', `select *, lag::text as lag, as_of = '2026-01-02 03:04:05.678+00' as exact from pgorbit.members order by member`);
    expect(rows[1]).toMatchObject({
      group: 'main', member: 'n2', role: 'replica', host: 'h2', address: '10.0.0.2', port: 5432, state: 'streaming', timeline: 2, lsn: 'A/800', received: 'A/900',
      lag_bytes: '2048', lag: '00:00:01.5', synchronous: true, voter: true, is_self: true, exact: true,
    });
    expect(rows[0]).toMatchObject({ member: 'n1', received: null, is_self: false });
    expect(await ask('shop', 'select time, message, "group", kind from pgorbit.events')).toEqual([{ time: new Date('2026-01-02T03:04:04Z'), message: MESSAGE, group: 'main', kind: 'promoted' }]);
    const position = String(0xa00000900n);
    expect(await ask('shop', 'select server_id, ip_port, match_index, role, next_index, pipelining from polar_dma_cluster_status')).toEqual([
      { server_id: '1', ip_port: '10.0.0.1:5432', match_index: String(0xa00001000n), role: 2, next_index: null, pipelining: null },
      { server_id: '2', ip_port: '10.0.0.2:5432', match_index: position, role: 0, next_index: null, pipelining: null },
    ]);
    // The statement of the guide.
    expect(await ask('shop', "select commit_index || ':' || synced_tli || ':' || synced_lsn as startpoint from polar_dma_consensus_status")).toEqual([{ startpoint: `${position}:2:A/900` }]);
    expect(await ask('shop', 'select server_id, current_term, current_leader, paxos_role, vote_for from polar_dma_member_status')).toEqual([
      { server_id: '2', current_term: '7', current_leader: '1', paxos_role: 0, vote_for: null },
    ]);
  });

  test('the polar views have the columns of PolarDB, in its order, and as_of behind them', async () => {
    const columns = async (name: string): Promise<string> => (await ask<{ list: string }>('shop', `select string_agg(attname || ' ' || format_type(atttypid, -1), ', ' order by attnum) as list from pg_attribute where attrelid = '${name}'::regclass`))[0]!.list;
    expect(await columns('polar_dma_cluster_status')).toBe('server_id bigint, ip_port text, match_index bigint, next_index bigint, role integer, has_voted boolean, force_sync boolean, election_weight integer, learner_source bigint, pipelining boolean, as_of timestamp with time zone');
    expect(await columns('polar_dma_consensus_status')).toBe('state integer, term bigint, log_term bigint, xlog_term bigint, leader_id bigint, sync_rqst_lsn pg_lsn, synced_tli integer, synced_lsn pg_lsn, purge_lsn pg_lsn, commit_index bigint, flushed_lsn pg_lsn, flushed_tli integer, appened_lsn pg_lsn, commit_queue_length bigint, stats_queue_length bigint, as_of timestamp with time zone');
    expect(await columns('polar_dma_member_status')).toBe('server_id bigint, current_term bigint, current_leader bigint, commit_index bigint, last_log_term bigint, last_log_index bigint, paxos_role integer, vote_for bigint, as_of timestamp with time zone');
  });

  test('pg_monitor may read them, others may not, and nobody gets at the file by the function', async () => {
    for (const view of ALL) {
      expect(await ask('shop', `select count(*)::int > 0 as any from ${view}`, 'watcher')).toEqual([{ any: true }]);
      await expect(ask('shop', `select * from ${view}`, 'nobody')).rejects.toMatchObject({ code: '42501' });
      await expect(ask('theirs', `select * from ${view}`, 'owner')).rejects.toMatchObject({ code: '42501' });
    }
    await expect(ask('shop', 'select pgorbit.status_file()', 'nobody')).rejects.toMatchObject({ code: '42501' });
    await expect(ask('shop', `select pg_read_file('${STATUS_FILE}')`, 'watcher')).rejects.toMatchObject({ code: '42501' });
  });

  test('reading writes no WAL', async () => {
    for (const view of ALL) {
      const [row] = await ask<{ 'QUERY PLAN': { Plan: Record<string, number> }[] }>('shop', `explain (analyze, wal, format json) select * from ${view}`);
      expect([view, row!['QUERY PLAN'][0]!.Plan['WAL Records'], row!['QUERY PLAN'][0]!.Plan['WAL Bytes']]).toEqual([view, 0, 0]);
    }
  });

  test('a file that is missing or not whole means no rows, not an error', async () => {
    const file = join(server.data, STATUS_FILE);
    const whole = await readFile(file);
    try {
      for (const content of [null, Buffer.alloc(0), Buffer.alloc(whole.length), whole.subarray(0, whole.length - 10)]) {
        await (content === null ? rm(file) : writeFile(file, content));
        for (const view of ALL) expect([view, await ask('shop', `select * from ${view}`, 'watcher')]).toEqual([view, []]);
      }
    } finally {
      await write(value());
    }
  });

  test('databases of other encodings read the file, with "?" for what they may have no character for', async () => {
    for (const encoding of ['SQL_ASCII', 'LATIN1', 'EUC_JP']) {
      await ask('postgres', `create database ${encoding}_db encoding '${encoding}' template template0`);
      expect(await installViews((database) => connect(database))).toEqual([]);
      expect(await ask(`${encoding}_db`.toLowerCase(), 'select message from pgorbit.events')).toEqual([{ message: 'n1 f?hrt in /data\\u00e9/x ??' }]);
    }
  });

  test('a hostile search_path fools neither the installation nor a reader', async () => {
    await ask('postgres', 'create database hostile owner owner template template0');
    await ask('hostile', `
      create schema trap; grant usage on schema trap to public;
      create function trap.same(text, text) returns boolean language plpgsql as $$ begin create table if not exists public.stolen(); return false; end $$;
      create operator trap.= (function = trap.same, leftarg = text, rightarg = text);
      create function trap.same(name, name) returns boolean language plpgsql as $$ begin create table if not exists public.stolen(); return false; end $$;
      create operator trap.= (function = trap.same, leftarg = name, rightarg = name);
      create function trap.same(name, text) returns boolean language plpgsql as $$ begin create table if not exists public.stolen(); return false; end $$;
      create operator trap.= (function = trap.same, leftarg = name, rightarg = text);
      create function trap.json_to_recordset(json) returns setof record language plpgsql as $$ begin create table if not exists public.stolen(); end $$;
      create function trap.decode(text, text) returns bytea language plpgsql as $$ begin create table if not exists public.stolen(); end $$;
      create view trap.polar_dma_cluster_status as select 'trap' as ip_port;
      create domain trap.json as text; create domain trap.text as varchar;
      alter database hostile set search_path = trap, pg_catalog, public;
      alter database hostile set role = owner;
      alter database hostile set default_transaction_read_only = on;
      alter database hostile set standard_conforming_strings = off;`);
    expect(await installViews((database) => connect(database))).toEqual([]);
    expect(await installed('hostile')).toBe(true);
    expect(await ask('hostile', 'select count(*)::int as n from pgorbit.members', 'watcher')).toEqual([{ n: 2 }]);
    expect(await ask('hostile', "select to_regclass('public.stolen') as stolen, (select rolname from pg_roles r, pg_namespace n where n.nspname operator(pg_catalog.=) 'pgorbit'::name and r.oid = n.nspowner) as owner")).toEqual([{ stolen: null, owner: 'postgres' }]);
    // In the search_path of PostgreSQL itself no view of the owner comes before pg_catalog.
    await ask('theirs', "create view public.polar_dma_cluster_status as select 'trap' as ip_port", 'owner');
    expect(await ask('theirs', 'select ip_port from polar_dma_cluster_status limit 1', 'watcher')).toEqual([{ ip_port: '10.0.0.1:5432' }]);
  });

  test('somebody else\'s schema is left alone and reported; the other databases get theirs', async () => {
    await ask('postgres', 'create database taken owner owner template template0');
    await ask('taken', `create schema pgorbit; comment on schema pgorbit is 'pgorbit views 1'`, 'owner');
    await ask('postgres', 'create database untaken template template0');
    await ask('postgres', 'create database closed template template0');
    const refusing = (database: string): SqlSession => connect(database === 'closed' ? 'closed_and_gone' : database);
    const failures = await installViews(refusing);
    expect(failures.map(({ database }) => database).sort()).toEqual(['closed', 'taken']);
    expect(failures.find(({ database }) => database === 'taken')?.error).toMatchObject({ code: 'not-ours' });
    expect([await installed('taken'), await installed('untaken')]).toEqual([false, true]);
    await ask('postgres', 'drop database taken');
    await ask('postgres', 'drop database closed');
  });

  test('what a person dropped comes back, and views built on ours stay', async () => {
    await ask('postgres', 'create database mended template template0');
    await installViews((database) => connect(database));
    await ask('mended', 'create view public.mine as select member from pgorbit.members');
    await ask('mended', 'alter extension plpgsql drop view polar_dma_member_status; drop view polar_dma_member_status');
    expect(await installed('mended')).toBe(false);
    expect(await installViews((database) => connect(database))).toEqual([]);
    expect(await installed('mended')).toBe(true);
    expect(await ask('mended', 'select count(*)::int as n from public.mine')).toEqual([{ n: 2 }]);
    await ask('postgres', 'drop database mended');
  });

  test('a database without plpgsql has them as well', async () => {
    await ask('postgres', 'create database plain template template0');
    await ask('plain', 'drop extension plpgsql');
    expect(await installViews((database) => connect(database))).toEqual([]);
    expect(await installed('plain')).toBe(true);
  });

  test('they work on a standby, which is never installed into', async () => {
    await server.stop();
    const standby = await server.copyAsStandby().finally(() => server.start());
    try {
      await write(value('2026-05-05T00:00:00Z'), standby.data);
      for (const view of ALL) {
        const rows = await ask<{ as_of: Date }>('shop', `select as_of from ${view}`, 'watcher', standby.port);
        expect(rows[0]?.as_of).toEqual(new Date('2026-05-05T00:00:00Z'));
      }
      await ask('shop', 'alter extension plpgsql drop schema pgorbit; alter schema pgorbit rename to away');
      expect(await installViews((database) => connect(database, 'postgres', standby.port))).toEqual([]);
    } finally {
      await standby.destroy();
    }
  });

  test.skipIf(version !== 15 || !existsSync(join(VERSIONS[15]!, 'pg_dump')))('dumps hold none of it, pg_upgrade\'s neither, and restore into another database without an error', async () => {
    const at = ['-h', '127.0.0.1', '-p', String(server.port), '-U', 'postgres'];
    const file = join(server.dir, 'dump.sql');
    await ask('postgres', 'create database source');
    await ask('postgres', 'create database target');
    await ask('source', 'create table t as select 1 as a');
    await ask('source', 'alter extension plpgsql drop view polar_dma_member_status; drop view polar_dma_member_status');
    await installViews((database) => connect(database));
    await command(join(server.bin, 'pg_dump'), [...at, '-f', file, 'source']);
    expect(await readFile(file, 'utf8')).not.toMatch(/pgorbit|polar/);
    expect(await command(join(server.bin, 'pg_dump'), [...at, '--schema-only', '--binary-upgrade', 'source'])).not.toMatch(/pgorbit|polar/);
    await command(join(server.bin, 'psql'), ['-X', ...at, '-1', '-v', 'ON_ERROR_STOP=1', '-f', file, 'target']);
    expect(await ask('target', 'select a from t')).toEqual([{ a: 1 }]);
    expect(await installed('target')).toBe(true);
  });
});
