import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { formatVerifier, makeVerifier } from '../../wire/scram.ts';
import { formatLsn, parseLsn } from '../lsn.ts';
import { startLoad } from '../testing/load.ts';
import { TestLogger, flushed, streaming, until, upstream } from '../testing/logger.ts';
import { TestPostgres, VERSIONS, command, makeDir } from '../testing/postgres.ts';

const MB = 1 << 20;
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function pair(version: number, settings: Record<string, string | number> = {}, change: ConstructorParameters<typeof Object>[0] = {}): Promise<{ server: TestPostgres; one: TestLogger }> {
  const server = await TestPostgres.create(version, { segmentMegabytes: 1, settings: { wal_keep_size: '1GB', max_wal_size: '1GB', ...settings } });
  cleanups.push(() => server.destroy());
  const one = await TestLogger.create(change as object);
  cleanups.push(() => one.destroy());
  await one.client.follow(upstream(server, 1));
  await streaming(one);
  await server.value(`alter system set synchronous_standby_names = 'ANY 1 (logger)'`);
  await server.value('select pg_reload_conf()');
  return { server, one };
}

/** Each row says where the WAL was before its own record: its commit ends behind that. */
const small = (n: number): string => `insert into load values (${n}, pg_current_wal_insert_lsn()::text)`;

describe.each(Object.keys(VERSIONS).map(Number))('under PostgreSQL %i', (version) => {
  it('no commit is acknowledged beyond what a promise reports', async () => {
    const { server, one } = await pair(version);
    await server.value('create table load (number bigint, note text)');
    for (let term = 2; term < 7; term++) {
      const load = await startLoad(server, 4, [small], term * 1_000_000);
      await until('commits are acknowledged', () => load.acknowledged() > 100);
      const promised = await one.client.promise(term);
      await new Promise((resolve) => setTimeout(resolve, 300));
      // What was on its way to a client when the promise was made may still have come; nothing from beyond the end.
      const numbers = load.numbers();
      const newest = await server.value(`select max(note::pg_lsn) from load where number = any('{${numbers.join(',')}}')`);
      expect(parseLsn(newest)).toBeLessThan(parseLsn(promised.flushed!));
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(load.acknowledged()).toBe(numbers.length);
      expect(formatLsn(await flushed(one))).toBe(promised.flushed);
      await expect(one.client.follow(upstream(server, term - 1))).rejects.toThrow(/promised to term/);
      await one.client.follow(upstream(server, term));
      await streaming(one);
      load.stop();
      await load.ended;
    }
  });

  it('a standby crosses to the next timeline through the logger', async () => {
    const { server, one } = await pair(version);
    await server.value(`alter system reset synchronous_standby_names`);
    const late = await copyOf(server, one.port, 'late');
    await late.stop();
    await one.client.follow(upstream(server, 1));
    await streaming(one);
    await server.value('create table one as select generate_series(1, 5000) g');
    const next = await copyOf(server, one.port, 'next');
    await server.value('create table two as select generate_series(1, 5000) g');
    await streaming(one);
    const at = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
    await until('the next primary has all', async () => parseLsn(await next.value(`select coalesce(pg_last_wal_replay_lsn(), '0/0')`)) >= at);
    await server.kill();
    await next.value('select pg_promote()');
    await one.client.follow(upstream(next, 2));
    await next.value('create table three as select generate_series(1, 5000) g');
    await late.start();
    await until('it has crossed over', async () => (await late.value(`select to_regclass('three') is not null`)) === 'true');
    expect(await late.value('select received_tli from pg_stat_wal_receiver')).toBe('2');
    expect(await late.value(`select (select count(*) from one) + (select count(*) from two) + (select count(*) from three)`)).toBe('15000');
  });
});

async function copyOf(primary: TestPostgres, port: number, name: string): Promise<TestPostgres> {
  await primary.stop();
  const copy = await primary.copyAsStandby({ primary_conninfo: `host=127.0.0.1 port=${port} user=postgres application_name=${name}`, synchronous_standby_names: '' });
  cleanups.push(() => copy.destroy());
  await primary.start();
  return copy;
}

const newestVersion = Math.max(...Object.keys(VERSIONS).map(Number));

describe('with little room', () => {
  it.skipIf(process.getuid?.() !== 0)('a full disk stops acknowledgements, and space brings them back (needs root: mounts a tmpfs)', async () => {
    const mount = mkdtempSync(join(tmpdir(), 'pgorbit-full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', mount]);
    cleanups.push(() => {
      execFileSync('umount', ['-l', mount]);
      rmSync(mount, { recursive: true });
    });
    const ballast = join(mount, 'ballast');
    writeFileSync(ballast, Buffer.alloc(4 * MB));
    mkdirSync(join(mount, 'logger'));
    const { server, one } = await pair(newestVersion, {}, { dir: join(mount, 'logger') });
    const load = await startLoad(server, 2, [(n) => `insert into load select ${n}, repeat(md5(g::text), 10) from generate_series(1, 300) g`]);
    await until('the disk is full', async () => (await one.client.status()).upstream?.state === 'disk-full');
    expect((await one.client.status()).upstream?.error?.code).toBe('volume-full');
    // The next tries may still fill what is left.
    let before = -1;
    let position = 0n;
    await until('nothing fits any more', async () => {
      const same = before === load.acknowledged() && position === (await flushed(one));
      before = load.acknowledged();
      position = await flushed(one);
      if (!same) await new Promise((resolve) => setTimeout(resolve, 1000));
      return same;
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(load.acknowledged()).toBe(before);
    expect(await one.client.promise(2)).toMatchObject({ term: 2, flushed: formatLsn(position) });
    await one.client.follow(upstream(server, 2));
    rmSync(ballast);
    await until('acknowledgements go on', () => load.acknowledged() > before);
    expect(await flushed(one)).toBeGreaterThan(position);
    load.stop();
    await one.end('SIGKILL');
    await server.kill();
    await load.ended;
  });

  it('purges what nobody needs, uses it again, and stays small', async () => {
    const { server, one } = await pair(newestVersion, {}, { purge: { keepBytes: 4 * MB, keepMs: 0, everyMs: 100 }, spares: 3 });
    const { oldest } = await one.client.status();
    await server.value('create table big as select g, repeat(md5(g::text), 5) from generate_series(1, 100000) g');
    expect((await one.client.status()).oldest).toBe(oldest); // nobody has said yet what is needed
    await one.client.holds([formatLsn(await flushed(one))]);
    await until('old segments are purged', async () => (await one.client.status()).bytes <= 5 * MB);
    await server.value('create table more as select g, repeat(md5(g::text), 5) from generate_series(1, 100000) g');
    const status = await one.client.status();
    expect(status.rss).toBeLessThan(150 * MB);
    await one.client.holds(['0/0']);
    expect(await one.client.purge()).toEqual([]);
  });
});

describe.skipIf(VERSIONS[15] === undefined)('who may read', () => {
  it('has to know the password where one is set', async () => {
    const { one } = await pair(15, {}, { users: { replicator: formatVerifier(makeVerifier('s3cret')) } });
    const dir = makeDir();
    cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
    const receive = (user: string, password: string): Promise<string> => {
      const conninfo = `host=127.0.0.1 port=${one.port} user=${user} password=${password}`;
      return command(join(VERSIONS[15]!, 'pg_receivewal'), ['-d', conninfo, '-D', dir, '--slot', 'x', '--create-slot']);
    };
    await expect(receive('replicator', 'wrong')).rejects.toThrow(/password authentication failed for user "replicator"/);
    await expect(receive('nobody', 's3cret')).rejects.toThrow(/password authentication failed for user "nobody"/);
    await expect(receive('replicator', 's3cret')).resolves.toBe('');
  });

  it('and the logger proves itself to its upstream the same way', async () => {
    const { server, one } = await pair(15);
    await server.value(`create role logger_user login replication password 's3cret'`);
    writeFileSync(join(server.data, 'pg_hba.conf'), 'host replication logger_user 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n');
    await server.value('select pg_reload_conf()');
    await one.client.follow({ ...upstream(server, 2), user: 'logger_user', password: 'wrong' });
    await until('it is refused', async () => /password authentication failed/.test((await one.client.status()).upstream?.error?.message ?? ''));
    await one.client.follow({ ...upstream(server, 2), user: 'logger_user', password: 's3cret' });
    await streaming(one);
    expect((await one.client.status()).upstream?.error).toBeNull();
  });
});
