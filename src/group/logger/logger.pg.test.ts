import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openCgroup } from '../../engine/cgroup.ts';
import { postgresOsUser } from '../../engine/osuser.ts';
import { Lifecycle } from '../../lifecycle.ts';
import { silentLog } from '../../observe/log.ts';
import { openVolume } from '../../volume/volume.ts';
import { LoggerClient } from '../../wal/logger/client.ts';
import { formatLsn, parseLsn } from '../../wal/lsn.ts';
import { startLoad } from '../../wal/testing/load.ts';
import { until } from '../../wal/testing/logger.ts';
import { TestPostgres, VERSIONS, freePort } from '../../wal/testing/postgres.ts';
import type { Orders } from '../member/member.ts';
import { placeOf, type Place } from '../member/place.ts';
import type { Goal, SecretsDocument } from '../model.ts';
import { memberRecord, specOf } from '../testing/build.ts';
import { adoptLogger, loggerUser, stopLogger } from './process.ts';
import { LoggerRunner } from './runner.ts';

const MB = 1 << 20;
const PASSWORD = 'replicators-own';
const account = (user: string): { user: string; password: string } => ({ user, password: PASSWORD });
const secrets: SecretsDocument = { superuser: account('postgres'), agent: account('agent'), replication: account('replicator'), monitor: account('monitor') };

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const newest = Math.max(...Object.keys(VERSIONS).map(Number));

async function primary(): Promise<TestPostgres> {
  const server = await TestPostgres.create(newest, { segmentMegabytes: 1, settings: { max_wal_size: '1GB', wal_keep_size: '1GB' } });
  cleanups.push(() => server.destroy());
  await server.value(`create role replicator login replication password '${PASSWORD}'`);
  await server.value(`select pg_create_physical_replication_slot('pgorbit_l1', true)`);
  return server;
}

/** A member l1 of its own, and runners for it: several, one after the other. */
class Scene {
  readonly place: Place;
  readonly events: string[] = [];
  orders: Orders;
  runner!: LoggerRunner;
  #life: Lifecycle | null = null;

  private constructor(home: string, port: number) {
    this.place = placeOf({ home, volume: null, cluster: 'shop', clusterId: '0123456789', group: 'main', member: 'l1', host: 'h1' });
    this.orders = {
      goal: { kind: 'stop' }, term: 1, record: memberRecord('l1', { role: 'logger', port, joined: false }), spec: specOf(['n1', 'n2']), systemIdentifier: null, addresses: [],
      engine: { major: 18, version: '18.0', bin: '/nowhere', source: 'folder', tools: new Set() },
    };
  }

  static async create(): Promise<Scene> {
    const home = mkdtempSync(join(tmpdir(), 'pgorbit-lm-'));
    chmodSync(home, 0o755);
    cleanups.push(() => rmSync(home, { recursive: true, force: true }));
    const scene = new Scene(home, await freePort());
    mkdirSync(scene.place.homeDir, { recursive: true });
    cleanups.push(() => scene.destroy());
    await scene.begin();
    return scene;
  }

  /** What an agent does that has just started. */
  async begin(): Promise<void> {
    const volume = await openVolume(this.place.homeDir, 'copy');
    this.runner = new LoggerRunner(this.place, { user: await postgresOsUser(), volume, secrets, log: silentLog(), tell: ({ kind, message }) => void this.events.push(`${kind}: ${message}`), current: () => true }, this.orders, () => undefined);
    this.#life = new Lifecycle((error) => this.events.push(String(error)));
    this.runner.start(this.#life);
  }

  /** What an agent does that goes, and leaves its members running. */
  async leave(): Promise<void> {
    await this.#life?.stop();
  }

  obey(patch: Partial<Orders>): void {
    this.orders = { ...this.orders, ...patch };
    this.runner.obey(this.orders);
  }

  follow(server: TestPostgres, term: number, patch: Partial<Orders> = {}): void {
    const goal: Goal = { kind: 'follow', upstream: { member: 'n', address: '127.0.0.1', port: server.port }, slot: 'pgorbit_l1', name: `l1@${term}` };
    this.obey({ goal, term, ...patch });
  }

  async until(what: string, condition: (report: ReturnType<LoggerRunner['report']>) => boolean): Promise<void> {
    await until(what, () => condition(this.runner.report())).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}: ${JSON.stringify(this.runner.report())} ${this.events.join('; ')}`, { cause: error });
    });
  }

  streams(server: TestPostgres): Promise<void> {
    return this.until('it streams', (report) => report.streamingFrom === `127.0.0.1:${server.port}` && report.reached === 'follow');
  }

  async destroy(): Promise<void> {
    await this.leave();
    const left = adoptLogger(this.place.dataDir);
    left?.release();
    if (left !== null) await stopLogger(left);
    await (await openCgroup(this.place.cgroupOf('l1')))?.remove();
  }
}

const quorum = async (server: TestPostgres, name: string): Promise<void> => {
  await server.value(`alter system set synchronous_standby_names = 'ANY 1 ("${name}")'`);
  await server.value('select pg_reload_conf()');
};
const missing = async (server: TestPostgres, numbers: number[]): Promise<number> =>
  numbers.length - Number(await server.value(`select count(distinct number) from load where number = any('{${numbers.join(',')}}')`));

describe('a logger that an agent runs', () => {
  it('votes, dies, comes back, outlives its agent, promises, and follows the next primary', async () => {
    const server = await primary();
    await server.stop();
    const next = await server.copyAsStandby({ synchronous_standby_names: '' });
    cleanups.push(() => next.destroy());
    await server.start();
    const scene = await Scene.create();
    scene.follow(server, 1);
    await scene.streams(server);
    expect(scene.runner.report()).toMatchObject({ incarnation: 1, term: 1, restarts: 1, state: 'streaming', ready: true, inRecovery: null, timeline: 1, error: null });
    expect(await server.value(`select active from pg_replication_slots where slot_name = 'pgorbit_l1'`)).toBe('true');
    expect(statSync(join(scene.place.homeDir, 'logger.json')).mode & 0o777).toBe(0o600);
    const user = await loggerUser(await postgresOsUser());
    expect(statSync(`/proc/${scene.runner.report().pid}`).uid).toBe(user?.uid ?? process.getuid?.());

    await quorum(server, 'l1@1');
    scene.obey({ record: { ...scene.orders.record, joined: true } });
    const load = await startLoad(server, 4);
    await until('commits are acknowledged', () => load.acknowledged() > 50);

    // It dies under the load.
    const { pid } = scene.runner.report();
    process.kill(pid!, 'SIGKILL');
    await scene.until('another runs', (report) => report.pid !== null && report.pid !== pid && report.streamingFrom !== null);
    const so = load.acknowledged();
    await until('commits go on', () => load.acknowledged() > so + 50);
    expect(scene.events.some((event) => event.startsWith('logger-ended'))).toBe(true);

    // The agent goes, and another comes.
    const before = scene.runner.report().pid;
    await scene.leave();
    const then = load.acknowledged();
    await until('commits need no agent', () => load.acknowledged() > then + 20);
    await scene.begin();
    await scene.streams(server);
    expect(scene.runner.report()).toMatchObject({ pid: before, restarts: 1 });

    // The term changes under the load: nothing is acknowledged any more, and all that was is here.
    scene.obey({ goal: { kind: 'promise' }, term: 2 });
    await scene.until('it has promised', (report) => report.reached === 'promise' && report.promised?.term === 2);
    const { promised, streamingFrom } = scene.runner.report();
    expect(streamingFrom).toBeNull();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await server.kill();
    const acknowledged = await load.ended;
    expect(promised).toMatchObject({ term: 2, timeline: 1 });

    // A promise outlives the process. (Its position may change by what lay behind the last whole record or the last fsync.)
    process.kill(scene.runner.report().pid!, 'SIGKILL');
    await scene.until('it promises again', (report) => report.pid !== null && report.pid !== before && report.promised?.term === 2);
    const least = parseLsn(scene.runner.report().promised!.lsn);
    const control = new LoggerClient(join(scene.place.socketDir, 'logger'));
    await expect(control.promise(1)).rejects.toThrow(/promised to term 2/);

    // The candidate gets from it what it lacks, as a stock standby with a slot.
    const conninfo = `host=127.0.0.1 port=${scene.orders.record.port} user=replicator password=${PASSWORD} application_name=n2@2`;
    await next.value(`alter system set primary_slot_name = 'pgorbit_n2'`);
    await next.value(`alter system set primary_conninfo = '${conninfo}'`);
    await next.value('select pg_reload_conf()');
    await until('the candidate has all', async () => parseLsn(await next.value(`select coalesce(pg_last_wal_receive_lsn(), '0/0')`)) >= least);
    await scene.until('it is seen', (report) => report.followers.some(({ name, term }) => name === 'n2' && term === 2));
    await next.value(`alter system reset primary_conninfo`);
    await next.value(`alter system reset primary_slot_name`);
    await next.value('select pg_reload_conf()');
    await until('it is cut', async () => (await next.value('select count(*) from pg_stat_wal_receiver')) === '0');

    // It follows the candidate while that is in recovery, and over to its timeline.
    scene.follow(next, 2);
    await scene.streams(next);
    expect(scene.runner.report().timeline).toBe(1);
    await quorum(next, 'l1@2');
    await next.value('select pg_promote()');
    await scene.until('it crosses over', (report) => report.timeline === 2 && report.streamingFrom !== null && report.term === 2);
    expect(await missing(next, acknowledged)).toBe(0);
    const second = await startLoad(next, 2, undefined, 5_000_000);
    await until('commits of the new term are acknowledged', () => second.acknowledged() > 20);
    second.stop();
    await second.ended;
  });

  it('takes new settings while it runs, holds what is needed, begins anew, and goes', async () => {
    const server = await primary();
    const scene = await Scene.create();
    scene.follow(server, 1);
    await scene.streams(server);
    const { pid } = scene.runner.report();
    const { spec } = scene.orders;
    scene.obey({ spec: { ...spec, logger: { ...spec.logger, keepBytes: 2 * MB, keepMs: 0, purgeEveryMs: 100, packetBytes: 8192 } } });
    const control = new LoggerClient(join(scene.place.socketDir, 'logger'));
    const { oldest } = await control.status();
    await server.value('create table big as select g, repeat(md5(g::text), 5) from generate_series(1, 50000) g');
    const middle = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
    await server.value('create table more as select g, repeat(md5(g::text), 5) from generate_series(1, 50000) g');
    const end = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
    await scene.until('it has all', (report) => report.lsn !== null && parseLsn(report.lsn) >= end);
    expect((await control.status()).oldest).toBe(oldest); // nobody has said yet what is needed
    scene.runner.setHolds([formatLsn(middle)]);
    await until('what nobody needs goes', async () => parseLsn((await control.status()).oldest!) > middle - BigInt(2 * MB));
    expect(parseLsn((await control.status()).oldest!)).toBeLessThanOrEqual(middle);
    scene.runner.setHolds([formatLsn(end)]);
    await until('the rest goes', async () => parseLsn((await control.status()).oldest!) > middle);
    expect(scene.runner.report().pid).toBe(pid);

    // A wanted restart.
    scene.obey({ record: { ...scene.orders.record, restarts: 2 } });
    await scene.until('it restarts', (report) => report.restarts === 2 && report.pid !== pid && report.streamingFrom !== null);

    // A new incarnation: WAL from now on, and the old is kept until it streams.
    scene.obey({ record: { ...scene.orders.record, incarnation: 2 } });
    await scene.until('it begins anew', (report) => report.incarnation === 2 && report.streamingFrom !== null && report.lsn !== null && parseLsn(report.lsn) >= end);
    await until('the old WAL is gone', () => !existsSync(`${scene.place.dir}.aside-1`));

    scene.obey({ goal: { kind: 'create' } });
    await scene.until('it refuses', (report) => report.error?.code === 'unsafe');
    scene.obey({ goal: { kind: 'stop' } });
    await scene.until('it stops', (report) => report.pid === null && report.reached === 'stop' && report.state === 'stopped');

    // A voter that has lost its WAL makes no promise, and begins anew under a primary.
    rmSync(scene.place.dataDir, { recursive: true });
    scene.obey({ goal: { kind: 'promise' }, term: 2, record: { ...scene.orders.record, joined: true } });
    await scene.until('it refuses', (report) => report.error?.code === 'unsafe' && report.promised === null && report.pid === null);
    scene.follow(server, 2);
    await scene.streams(server);
    const now = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
    await scene.until('it has all', (report) => report.lsn !== null && parseLsn(report.lsn) >= now);
    scene.obey({ goal: { kind: 'promise' }, term: 3 });
    await scene.until('it promises', (report) => report.promised?.term === 3);

    scene.obey({ goal: { kind: 'remove' } });
    await scene.until('it is gone', (report) => report.state === 'removed' && report.reached === 'remove');
    expect(existsSync(scene.place.homeDir)).toBe(false);
  });

  it('says what keeps it from starting, and starts when that is over', async () => {
    const server = await primary();
    const scene = await Scene.create();
    scene.obey({ record: { ...scene.orders.record, port: server.port } });
    scene.follow(server, 1);
    await scene.until('it fails', (report) => report.state === 'failed' && report.error?.code === 'port-in-use' && report.failures > 0);
    scene.obey({ record: { ...scene.orders.record, port: await freePort(), restarts: 2 } });
    await scene.streams(server);
    expect(scene.runner.report()).toMatchObject({ error: null, failures: 0, restarts: 2 });
  });
});
