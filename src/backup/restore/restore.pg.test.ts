import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { testEngines } from '../../engine/testing/scratch.ts';
import type { Engine } from '../../engine/find.ts';
import { sleep } from '../../lifecycle.ts';
import { readHistory } from '../../wal/files.ts';
import { parseLsn } from '../../wal/lsn.ts';
import { TestPostgres, command, makeDir, suiteVersions } from '../../wal/testing/postgres.ts';
import { type ArchiveEvent, runArchiver, slotOf } from '../archive/archiver.ts';
import type { BackupInfo } from '../info.ts';
import type { SystemFolder } from '../repository.ts';
import { takeBackup } from '../take.ts';
import { TestArchiving } from '../testing/archiving.ts';
import { countT, restoreTo } from '../testing/restored.ts';
import { query, sourceOf, startCopy, takeOptions } from '../testing/server.ts';
import { verifyStored } from '../verify.ts';

const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no error', (error: unknown) => error);

const engineHome = mkdtempSync(join(tmpdir(), 'pgorbit-test-engines-'));
chmodSync(engineHome, 0o755);
afterAll(() => rmSync(engineHome, { recursive: true, force: true }));

describe.each(suiteVersions(15))('PostgreSQL %i', (version) => {
  const cleanup: (() => unknown)[] = [];
  let engine: Engine;
  let system: SystemFolder;
  let info: BackupInfo;
  /** What to restore to, and the rows that have to be there then. */
  const moments: { target: string; rows: number }[] = [];
  let liveWal: string[] = [];

  /** Restores to `target` in a folder of its own, and looks at it before it is stopped. */
  async function restored(target: string): Promise<{ rows: number; timeline: number; left: string[] }> {
    const folder = makeDir();
    try {
      const { seen: rows, timeline } = await restoreTo(folder, target, { system, info, engine }, async (sql) => {
        const found = await countT(sql);
        await sql.query('insert into t values (-1)');
        return found;
      });
      // Switch points that went backwards would be refused.
      // The 15 rows are the last of timeline 1: what stops behind them lies on either.
      const parent = (await readHistory(join(folder, 'data', 'pg_wal'), timeline)).parents.at(-1)?.timeline;
      expect(rows < 15 ? [1] : rows > 15 ? [2] : [1, 2]).toContain(parent);
      return { rows, timeline, left: readdirSync(folder).sort() };
    } catch (error) {
      expect(readdirSync(folder)).not.toContain('restore');
      expect(existsSync(join(folder, 'data', 'postmaster.pid'))).toBe(false);
      throw error;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  beforeAll(async () => {
    engine = (await testEngines(engineHome)).find((one) => one.major === version)!;
    const server = await TestPostgres.create(version, { segmentMegabytes: 1, settings: { checkpoint_timeout: '1h', hot_standby: 'on', wal_log_hints: 'on' } });
    cleanup.push(() => server.destroy());
    await server.value('create table t (n int)');
    const options = await takeOptions(server, cleanup);
    const standby = await takeBackup(options);
    const second = await startCopy(version, standby.system.dataDir(standby.info.label), cleanup, server.port);

    let source = sourceOf(server);
    const archiving = new TestArchiving(options.store, () => source);
    cleanup.push(() => archiving.stop());
    await archiving.streaming();
    ({ system, info } = await takeBackup(options));

    let rows = 0;
    let port = server.port;
    const commit = async (): Promise<void> => {
      // Several transactions, so that a target lies between neighbours, and more than one segment.
      for (let i = 0; i < 5; i++) await query(port, `insert into t values (${++rows}); select pg_switch_wal() where ${i} = 2`);
    };
    const mark = async (): Promise<void> => {
      const [[time, lsn]] = (await query(port, "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US'), pg_current_wal_lsn()::text")) as [[string, string]];
      moments.push({ target: `${time}Z`, rows }, { target: lsn, rows });
    };
    await commit();
    await mark();
    await commit();
    await query(port, "select pg_create_restore_point('before the mistake')");
    moments.push({ target: 'before the mistake', rows });
    await commit();
    while (((await query(second.port, 'select count(*)::int from t')) as [[number]])[0][0] < rows) await sleep(20);
    await mark();
    liveWal = readdirSync(server.walDir).filter((name) => existsSync(system.path('wal', name)) && name.length === 24);
    for (const name of liveWal) if (!readFileSync(join(server.walDir, name)).equals(readFileSync(system.path('wal', name)))) throw new Error(`${name} differs`);
    await server.kill();
    await query(second.port, 'select pg_promote(true)');
    port = second.port;
    source = { ...source, member: 'n2', port };
    await commit();
    await mark();
    await commit();
    const [[end]] = (await query(port, 'select pg_current_wal_flush_lsn()::text')) as [[string]];
    await archiving.until((event) => event.kind === 'archived' && event.timeline === 2 && parseLsn(event.lsn) >= parseLsn(end));
    moments.push({ target: 'latest', rows });
    await archiving.stop();
  });
  afterAll(async () => {
    for (const one of cleanup.splice(0).toReversed()) await one();
  });
  const undo: (() => unknown)[] = [];
  afterEach(() => {
    for (const one of undo.splice(0).toReversed()) one();
  });

  it('archives segments byte for byte, the newest as far as it is written, and history', async () => {
    expect(liveWal.length).toBeGreaterThan(1);
    const names = readdirSync(system.path('wal'));
    expect(names).toContain('00000002.history');
    expect(names.filter((name) => name.startsWith('00000002') && name.endsWith('.partial'))).toHaveLength(1);
    expect(readdirSync(system.path('sums')).sort()).toEqual(names.filter((name) => name.length === 24).sort());
    expect((await verifyStored(system, info.label)).problems).toEqual([]);
  });

  it('lands exactly on times, positions, names and the end, across the promotion', async () => {
    expect(moments.map(({ rows }) => rows)).toEqual([5, 5, 10, 15, 15, 20, 20, 25]);
    for (const { target, rows } of moments) expect({ target, ...(await restored(target)) }).toEqual({ target, rows, timeline: 3, left: ['data', 'log'] });
  });

  it('refuses a target before the end of the backup, or beyond the archive', async () => {
    const early = [new Date(Date.parse(info.stoppedAt) - 1).toISOString(), info.startLsn];
    for (const target of early) expect(await errorOf(restored(target))).toMatchObject({ code: 'target-unreachable', message: expect.stringContaining('before the end of') });
    const late = [new Date(Date.now() + 3_600_000).toISOString(), '1/0', 'never made'];
    for (const target of late) expect(await errorOf(restored(target))).toMatchObject({ code: 'target-unreachable', message: expect.stringContaining('beyond the archived WAL') });
  });

  it('refuses a damaged or missing segment, by name, and still goes to before it', async () => {
    const verdict = await verifyStored(system, info.label);
    const later = verdict.chain!.segments.filter(({ name, archived, partial }) => archived && !partial && !info.wal.some((own) => own.name === name));
    const broken = later.at(-1)!.name;
    const file = system.path('wal', broken);
    const whole = readFileSync(file);
    undo.push(() => writeFileSync(file, whole));
    const flipped = Buffer.from(whole);
    flipped[flipped.length - 1]! ^= 1;
    writeFileSync(file, flipped);
    expect((await verifyStored(system, info.label)).problems).toMatchObject([{ path: file, kind: 'wal', message: expect.stringContaining(file) }]);
    expect(await errorOf(restored('latest'))).toMatchObject({ code: 'backup-damaged', message: expect.stringContaining(file) });
    const { target, rows } = moments[0]!;
    expect(await restored(target)).toMatchObject({ rows });

    renameSync(file, `${file}.away`);
    undo.push(() => rmSync(`${file}.away`));
    expect((await verifyStored(system, info.label)).problems).toMatchObject([{ path: file, kind: 'wal' }]);
    expect(await errorOf(restored('latest'))).toMatchObject({ code: 'backup-damaged', message: expect.stringContaining(broken) });
    // Only replay can tell that this time lies behind it.
    expect(await errorOf(restored(moments.at(-3)!.target))).toMatchObject({ code: 'target-unreachable', message: expect.stringContaining(broken) });
  });

  it('refuses a damaged data file before anything is made', async () => {
    const file = join(system.dataDir(info.label), 'PG_VERSION');
    const text = readFileSync(file);
    undo.push(() => writeFileSync(file, text));
    writeFileSync(file, '99\n');
    expect(await errorOf(restored('latest'))).toMatchObject({ code: 'backup-damaged', message: expect.stringContaining('PG_VERSION') });
  });

  it('an archive goes on where it ended, and says when the server no longer has what it lacks', async () => {
    const server = await TestPostgres.create(version, { segmentMegabytes: 1, settings: { max_wal_size: '2MB', min_wal_size: '2MB', wal_keep_size: 0 } });
    cleanup.push(() => server.destroy());
    const options = await takeOptions(server, cleanup);
    const run = async (until: (event: ArchiveEvent) => boolean): Promise<ArchiveEvent[]> => {
      const stop = new AbortController();
      const events: ArchiveEvent[] = [];
      await runArchiver({
        store: options.store, cluster: 'shop', group: 'main', now: () => performance.now(), signal: stop.signal, find: async () => ({ source: sourceOf(server), others: [] }),
        onEvent: (event) => {
          events.push(event);
          if (until(event)) stop.abort();
        },
      });
      return events;
    };
    const reach = async (): Promise<ArchiveEvent[]> => {
      await server.value("select pg_logical_emit_message(true, 'x', repeat('x', 100000)) from generate_series(1, 25)");
      const end = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
      return run((event) => event.kind === 'archived' && parseLsn(event.lsn) >= end);
    };
    await reach();
    await reach();
    await reach();
    const [own] = (await takeBackup(options)).system.name.split('/');
    const names = readdirSync(join(options.store.where, own!, 'wal')).filter((name) => name.length === 24);
    expect(names.length).toBeGreaterThan(2);
    expect(Number.parseInt(names.at(-1)!.slice(16), 16) - Number.parseInt(names[0]!.slice(16), 16)).toBe(names.length - 1);

    await reach();
    while ((await server.value('select count(*) from pg_replication_slots where active')) !== '0') await sleep(20);
    await server.value('select pg_drop_replication_slot(slot_name) from pg_replication_slots');
    for (let i = 0; i < 3; i++) {
      await server.value("select pg_logical_emit_message(true, 'x', repeat('x', 100000)) from generate_series(1, 30)");
      await server.value('checkpoint');
    }
    expect(await errorOf(run(() => false))).toMatchObject({ code: 'wal-invalid', hint: expect.stringContaining('take a new backup') });
    await takeBackup(options);
    await reach();
  });

  it('an archive leaves no slot where its WAL came from once', async () => {
    const [server, before] = [await TestPostgres.create(version), await TestPostgres.create(version)];
    cleanup.push(() => server.destroy(), () => before.destroy());
    const options = await takeOptions(server, cleanup);
    await before.value(`select pg_create_physical_replication_slot('${slotOf(options.store)}', true), pg_create_physical_replication_slot('another', true)`);
    const stop = new AbortController();
    const archiving = runArchiver({
      store: options.store, cluster: 'shop', group: 'main', now: () => performance.now(), signal: stop.signal, onEvent: () => {},
      find: async () => ({ source: sourceOf(server), others: [sourceOf(before, 'n2')] }),
    });
    while ((await before.value('select string_agg(slot_name, $$ $$) from pg_replication_slots')) !== 'another') await sleep(20);
    while ((await server.value('select count(*) from pg_replication_slots where active')) !== '1') await sleep(20);
    stop.abort();
    await archiving;
  });

  it.skipIf(process.getuid?.() !== 0)('an archive on a full file system waits for room, and then goes on (needs root for tmpfs)', async () => {
    const server = await TestPostgres.create(version, { segmentMegabytes: 1 });
    cleanup.push(() => server.destroy());
    const folder = join(makeDir(), 'small');
    cleanup.push(() => rmSync(join(folder, '..'), { recursive: true, force: true }));
    mkdirSync(folder);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0755', 'pgorbit-test', folder]);
    cleanup.push(() => execFileSync('umount', [folder]));
    const { openRepository } = await import('../repository.ts');
    const store = await openRepository(join(folder, 'repository'), { make: true });
    const archiving = new TestArchiving(store, () => sourceOf(server));
    await archiving.streaming();
    await server.value("select pg_logical_emit_message(true, 'x', repeat('x', 100000)) from generate_series(1, 80)");
    expect(await archiving.until((event) => event.kind === 'waiting')).toMatchObject({ error: { code: 'volume-full' } });
    await command('mount', ['-o', 'remount,size=40m', folder]).catch(() => execFileSync('mount', ['-o', 'remount,size=40m', folder]));
    await archiving.archived(server);
    await archiving.stop();
  });
});
