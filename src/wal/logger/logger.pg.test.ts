import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { formatLsn, parseLsn, parseSegmentName } from '../lsn.ts';
import { findWalEnd } from '../scan.ts';
import { startLoad } from '../testing/load.ts';
import { TestLogger, flushed, streaming, until, upstream } from '../testing/logger.ts';
import { TestPostgres, VERSIONS, background, command, makeDir } from '../testing/postgres.ts';

const MB = 1 << 20;
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function postgres(version: number, settings: Record<string, string | number> = {}, segmentMegabytes = 16): Promise<TestPostgres> {
  const server = await TestPostgres.create(version, { segmentMegabytes, settings: { wal_keep_size: '1GB', max_wal_size: '1GB', ...settings } });
  cleanups.push(() => server.destroy());
  return server;
}
async function logger(change = {}): Promise<TestLogger> {
  const made = await TestLogger.create(change);
  cleanups.push(() => made.destroy());
  return made;
}

/** How many of the acknowledged numbers are not in the table. */
async function missing(server: TestPostgres, acknowledged: number[]): Promise<number> {
  return acknowledged.length - Number(await server.value(`select count(distinct number) from load where number = any('{${acknowledged.join(',')}}')`));
}

const synchronous = (server: TestPostgres, names: string): Promise<unknown> =>
  server.value(`alter system set synchronous_standby_names = '${names}'`).then(() => server.value('select pg_reload_conf()'));

/** A copy of the running primary's files, as of now, that follows `port`. */
async function standbyOf(primary: TestPostgres, port: number): Promise<TestPostgres> {
  await primary.stop();
  const copy = await primary.copyAsStandby({ primary_conninfo: `host=127.0.0.1 port=${port} user=postgres application_name=n2`, synchronous_standby_names: '' });
  cleanups.push(() => copy.destroy());
  await primary.start();
  return copy;
}

describe.each(Object.keys(VERSIONS).map(Number))('a logger beside PostgreSQL %i', (version) => {
  it('acknowledges quorum commits, comes back from kill -9 to the same end, and lets nothing through meanwhile', async () => {
    const server = await postgres(version, {}, 1);
    const one = await logger();
    await one.client.follow(upstream(server, 1));
    await streaming(one);
    await synchronous(server, 'ANY 1 (logger)');
    for (let round = 0; round < 3; round++) {
      const load = await startLoad(server, 4, undefined, 1 + round * 1_000_000);
      await until('commits are acknowledged', () => load.acknowledged() > 60);
      await one.end('SIGKILL');
      const position = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
      const { segmentSize } = { segmentSize: MB };
      const first = readdirSync(one.walDir).filter((name) => parseSegmentName(name, segmentSize) !== null).sort()[0]!;
      const end = await findWalEnd({ walDir: one.walDir, timeline: 1, from: parseSegmentName(first, segmentSize)!.start, segmentSize });
      const before = load.acknowledged();
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(load.acknowledged()).toBe(before); // nobody is there to acknowledge
      await one.start();
      expect((await one.client.status()).flushed).toBe(formatLsn(end.end));
      expect(end.end <= position).toBe(true);
      await one.client.follow(upstream(server, 1));
      await until('commits go on', () => load.acknowledged() > before + 30);
      load.stop();
      await load.ended;
    }
    // Byte for byte what the primary wrote.
    const at = parseLsn(await server.value('select pg_switch_wal()'));
    await until('the logger has the switch', async () => (await flushed(one)) >= at);
    for (const name of readdirSync(one.walDir).filter((file) => parseSegmentName(file, MB) !== null && parseSegmentName(file, MB)!.start + BigInt(MB) <= at)) {
      expect(readFileSync(join(one.walDir, name)).equals(readFileSync(join(server.walDir, name)))).toBe(true);
    }
  });

  it('gives a standby all that was acknowledged, and follows it to the next timeline', async () => {
    const server = await postgres(version, { wal_sender_timeout: '5s' });
    const one = await logger();
    await one.client.follow(upstream(server, 1, 'logger@1'));
    await streaming(one);
    const standby = await standbyOf(server, one.port);
    await one.client.follow(upstream(server, 1, 'logger@1'));
    await streaming(one);
    await synchronous(server, 'ANY 1 ("logger@1")');
    const load = await startLoad(server, 4);
    await until('commits are acknowledged', () => load.acknowledged() > 200);
    await server.kill();
    const acknowledged = await load.ended;
    const promised = await one.client.promise(2);
    expect(promised).toMatchObject({ term: 2, walTerm: 1, timeline: 1 });
    await until('the standby has what the logger has', async () => parseLsn(await standby.value('select pg_last_wal_receive_lsn()')) >= parseLsn(promised.flushed!));
    await standby.value('select pg_promote()');
    expect(await missing(standby, acknowledged)).toBe(0);
    await one.client.follow(upstream(standby, 2, 'logger@2'));
    await synchronous(standby, 'ANY 1 ("logger@2")');
    const second = await startLoad(standby, 2, undefined, 5_000_000);
    await until('commits of the new term are acknowledged', () => second.acknowledged() > 50);
    expect(await one.client.status()).toMatchObject({ term: 2, walTerm: 2, timeline: 2 });
    await expect(one.client.promise(1)).rejects.toThrow(/promised to term 2/);
    await expect(one.client.follow(upstream(server, 1))).rejects.toThrow(/cannot follow a primary of term 1/);

    // The old primary, as a standby of the logger, is past the fork or not: a fresh copy of timeline 1 crosses over.
    second.stop();
    const more = await second.ended;
    await one.end('SIGKILL');
    await one.start();
    expect(await one.client.status()).toMatchObject({ term: 2, walTerm: 2, timeline: 2 });
    await one.client.follow(upstream(standby, 2, 'logger@2'));
    await streaming(one);
    expect(await missing(standby, more)).toBe(0);
    const history = readFileSync(join(one.walDir, '00000002.history'));
    expect(history.equals(readFileSync(join(standby.walDir, '00000002.history')))).toBe(true);
  });

  it('begins at an upstream that lacks the history of an old timeline, as every server does that was copied later', async () => {
    const server = await postgres(version, {}, 1);
    for (let round = 0; round < 2; round++) {
      await server.stop();
      writeFileSync(join(server.data, 'standby.signal'), '');
      await server.start();
      await server.value('select pg_promote()');
    }
    rmSync(join(server.walDir, '00000002.history'));
    const one = await logger();
    await one.client.follow(upstream(server, 1));
    await streaming(one);
    expect(await one.client.status()).toMatchObject({ timeline: 3 });
  });

  it('cuts off its own WAL past the switch point, and refuses a superseded primary and a stranger', async () => {
    const server = await postgres(version, {}, 1);
    const one = await logger();
    await one.client.follow(upstream(server, 1));
    await streaming(one);
    const standby = await standbyOf(server, server.port);
    await one.client.follow(upstream(server, 1));
    await streaming(one);
    // The standby is left behind, so that the logger goes past where it will be promoted.
    await until('the standby streams', async () => (await server.value(`select count(*) from pg_stat_replication where application_name = 'n2'`)) === '1');
    await standby.stop();
    const load = await startLoad(server, 2);
    await until('there is WAL that the standby lacks', () => load.acknowledged() > 100);
    load.stop();
    await load.ended;
    const position = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
    await until('the logger has it', async () => (await flushed(one)) >= position);
    standby.configure({ primary_conninfo: '' });
    await standby.start();
    await standby.value('select pg_promote()');
    await standby.value('create table after_fork (number int)');
    const fork = readFileSync(join(standby.walDir, '00000002.history'), 'utf8').split('\t')[1]!;
    await one.client.follow(upstream(standby, 2));
    await streaming(one);
    const there = parseLsn(await standby.value('select pg_current_wal_flush_lsn()'));
    await until('the logger has the new timeline', async () => (await flushed(one)) >= there);
    const old = await findWalEnd({ walDir: one.walDir, timeline: 1, from: parseLsn(fork), segmentSize: MB });
    expect(formatLsn(old.end)).toBe(fork);
    const size = BigInt(MB);
    const last = readdirSync(one.walDir).filter((name) => name.startsWith('00000001') && parseSegmentName(name, MB) !== null).sort().at(-1)!;
    expect(parseSegmentName(last, MB)!.start).toBe(parseLsn(fork) - (parseLsn(fork) % size));

    await one.client.follow(upstream(server, 3));
    await until('it refuses', async () => (await one.client.status()).upstream?.error?.code === 'unsafe');
    const stranger = await postgres(version, {}, 1);
    await one.client.follow(upstream(stranger, 4));
    await until('it refuses', async () => (await one.client.status()).upstream?.error?.code === 'other-cluster');
    expect(await flushed(one)).toBe(there);
  });
});

describe.skipIf(VERSIONS[15] === undefined)('the tools of PostgreSQL 15', () => {
  it('receive byte-identical segments from the logger, slot and all', async () => {
    const server = await postgres(15);
    const one = await logger();
    await one.client.follow(upstream(server, 1));
    await streaming(one);
    const load = await startLoad(server, 4);
    await until('there is WAL', () => load.acknowledged() > 300);
    load.stop();
    await load.ended;
    const from = (await one.client.status()).oldest!;
    const at = parseLsn(await server.value('select pg_switch_wal()'));
    await until('the logger has it', async () => (await flushed(one)) >= at);
    const dir = makeDir();
    cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
    const args = ['-h', '127.0.0.1', '-p', String(one.port), '-U', 'postgres', '-D', dir];
    await command(join(server.bin, 'pg_receivewal'), [...args, '--slot', 'archive', '--create-slot']);
    const receiver = background(join(server.bin, 'pg_receivewal'), [...args, '--slot', 'archive', '--synchronous', '--no-loop']);
    cleanups.push(() => void receiver.kill('SIGKILL'));
    const finished = (): string[] => readdirSync(dir).filter((name) => parseSegmentName(name, 16 * MB) !== null).sort();
    // Without a position of its own the tool begins at the segment of what the logger has now.
    await server.value('create table more as select g, md5(g::text) from generate_series(1, 200000) g');
    await server.value('select pg_switch_wal()');
    await until('the tool has whole segments', () => finished().length > 0);
    await until('it is seen', async () => (await one.client.status()).followers[0]?.name === 'pg_receivewal');
    const ended = new Promise((resolve) => receiver.once('exit', resolve));
    receiver.kill('SIGINT');
    expect(await ended).toBe(0);
    for (const name of finished()) expect(readFileSync(join(dir, name)).equals(readFileSync(join(server.walDir, name)))).toBe(true);
    expect(parseLsn(from)).toBeLessThan(at);
    await command(join(server.bin, 'pg_receivewal'), [...args, '--slot', 'archive', '--drop-slot']);
  });
});
