import { chmodSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { verifyBackup } from '../../engine/basebackup/verify.ts';
import type { Engine } from '../../engine/find.ts';
import { postgresOsUser } from '../../engine/osuser.ts';
import { testEngines } from '../../engine/testing/scratch.ts';
import { sleep } from '../../lifecycle.ts';
import { parseLsn } from '../../wal/lsn.ts';
import { EVERYTHING, TestPostgres, VERSIONS, makeDir } from '../../wal/testing/postgres.ts';
import { type BackupInfo, INFO_FILE, encodeInfo } from '../info.ts';
import { pruneBackups } from '../remove.ts';
import type { SystemFolder } from '../repository.ts';
import { checkRestorable } from '../restore/restore.ts';
import { parseTarget } from '../restore/target.ts';
import { type TakeOptions, takeBackup } from '../take.ts';
import { TestArchiving } from '../testing/archiving.ts';
import { restoreTo } from '../testing/restored.ts';
import { NEVER, flip, query, scratch, sourceOf, startCopy, takeOptions } from '../testing/server.ts';
import { verifyStored } from '../verify.ts';
import { combineBackups } from './combine.ts';
import { BLOCK_BYTES } from './header.ts';
import { type Generation, checkLineage, generationAt, lineageOf } from './lineage.ts';
import { isNewPage, pageChecksum } from './page.ts';
import { tableOf } from './visibility.ts';

const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no error', (error: unknown) => error);
const SETTINGS = { checkpoint_timeout: '1h', hot_standby: 'on', summarize_wal: 'on', wal_keep_size: '64MB' };

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of cleanup.splice(0).toReversed()) await one();
});

/** What relations can go through between two backups. */
const ROUNDS: string[][] = [
  [
    'create extension amcheck', 'create extension pg_visibility',
    "create table grows as select g as n, repeat('x', 200) as pad from generate_series(1, 8000) g", 'create index on grows (n)',
    "create table shrinks as select g as n, repeat('y', 200) as pad from generate_series(1, 8000) g", 'create table cut as select * from shrinks', 'create table dropped as select * from shrinks',
    "create table rewritten as select g as n, repeat('z', 500) as pad from generate_series(1, 1500) g", 'create table untouched as select * from rewritten', 'create table empty (n int)',
    'create unlogged table volatile as select 1 as n', 'create sequence counts', "select nextval('counts')", 'create table wide (n int, big text)',
    "insert into wide select g, (select string_agg(md5((g * i)::text), '') from generate_series(1, 300) i) from generate_series(1, 50) g", 'create database gone', 'vacuum grows, shrinks',
  ],
  [
    "insert into grows select g, repeat('x', 200) from generate_series(8001, 11000) g", 'update grows set n = -n where n % 1000 = 0', 'delete from shrinks where n > 1500', 'vacuum shrinks', 'truncate cut',
    'drop table dropped', 'create table created as select * from rewritten', 'insert into empty values (1)', "select nextval('counts')", 'drop database gone', 'create database made', "update wide set big = reverse(big) where n = 7", 'vacuum grows',
  ],
  [
    "insert into shrinks select g, repeat('w', 200) from generate_series(30001, 31000) g", 'vacuum full rewritten', 'insert into cut select * from grows where n < 500', 'delete from created', 'vacuum created', 'create index on created (n)',
    'delete from empty', 'vacuum empty', "update grows set pad = repeat('q', 200) where n between 2000 and 2100", 'alter table untouched add column extra int',
  ],
  ['delete from grows where n > 100', 'vacuum grows', "insert into created select g, '' from generate_series(1, 5000) g", "select nextval('counts')"],
];

/** Sums of all rows of all tables and of what others give, as one line a relation. */
const CONTENTS = `select c.relname, (xpath('/row/s/text()', query_to_xml(format('select count(*) || '' '' || coalesce(sum(hashtextextended(r::text, 0)), 0) as s from (select * from %I.%I) r', n.nspname, c.relname), false, true, '')))[1]::text
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'S') and n.nspname = 'public' and c.relpersistence = 'p' order by 1`;

/** Every page of every relation is read by base backups, checksums and all; indexes and visibility maps are checked against their tables. */
async function checkServer(port: number): Promise<void> {
  expect(await query(port, 'show data_checksums')).toEqual([['on']]);
  await query(port, "select bt_index_check(i.indexrelid, true) from pg_index i join pg_class c on c.oid = i.indexrelid where c.relam = 403 and c.relpersistence = 'p'");
  expect(await query(port, "select c.relname, v.* from pg_class c, verify_heapam(c.oid) v where c.relkind in ('r', 't', 'm') and c.relpersistence = 'p'")).toEqual([]);
  expect(await query(port, "select c.relname, v.* from pg_class c, pg_check_visible(c.oid) v where c.relkind in ('r', 't')")).toEqual([]);
  expect(await query(port, 'select sum(checksum_failures)::int from pg_stat_database')).toEqual([[0]]);
}

/** Files of a data directory that a backup of it and another one a moment later have alike, with what is in them. */
function filesOf(dir: string, folder = ''): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const entry of readdirSync(join(dir, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) for (const [name, content] of filesOf(dir, path)) found.set(name, content);
    else if (!/^(pg_wal\/.*|backup_label|backup_manifest|global\/pg_control)$/.test(path)) found.set(path, readFileSync(join(dir, path)));
  }
  return found;
}

/** The bytes of a map's pages, headers left out. */
const mapOf = (file: Buffer): Buffer[] => Array.from({ length: file.length / BLOCK_BYTES }, (_, page) => file.subarray(page * BLOCK_BYTES + 24, (page + 1) * BLOCK_BYTES));
const bitsOf = (file: Buffer): number => mapOf(file).flatMap((page) => [...page]).filter((byte) => byte !== 0).length;
/** Where a map has bits that the other does not have. */
const setBeyond = (file: Buffer, other: Buffer): number[] => mapOf(file).flatMap((page, number) => [...page].flatMap((byte, at) => ((byte & ~(mapOf(other)[number]?.[at] ?? 0)) === 0 ? [] : [at])));

const engineHome = mkdtempSync(join(tmpdir(), 'pgorbit-test-engines-'));
chmodSync(engineHome, 0o755);
afterAll(() => rmSync(engineHome, { recursive: true, force: true }));

describe.skipIf(!(18 in VERSIONS))('incremental backups (need PostgreSQL 18)', () => {
  const later: (() => unknown)[] = [];
  let server: TestPostgres;
  let options: TakeOptions;
  let engine: Engine;
  let system: SystemFolder;
  /** Of each round: the backup, a full one of the same moment, and what was in the tables. */
  const rounds: { info: BackupInfo; twin: BackupInfo; contents: unknown[][] }[] = [];
  let beyond = '';

  const take = async (more: Partial<TakeOptions> = {}): Promise<BackupInfo> => (await takeBackup({ ...options, ...more })).info;
  /** A backup to build on that no later round took for its own. */
  const incremental = (from: string | null = null): Partial<TakeOptions> => ({ incremental: { from } });

  async function combined(label: string): Promise<string> {
    const to = join(scratch(cleanup), 'data');
    const lineage = await lineageOf(system, await system.info(label));
    await combineBackups({ lineage, to, owner: await postgresOsUser(), onProgress: () => {}, signal: NEVER });
    return to;
  }

  beforeAll(async () => {
    engine = (await testEngines(engineHome)).find((one) => one.major === 18)!;
    server = await TestPostgres.create(18, { segmentMegabytes: 1, settings: SETTINGS });
    later.push(() => server.destroy());
    options = await takeOptions(server, later);
    const archiving = new TestArchiving(options.store, () => sourceOf(server));
    later.push(() => archiving.stop());
    await archiving.streaming();
    let before: string | null = null;
    for (const statements of ROUNDS) {
      for (const statement of statements) await query(server.port, statement);
      const contents = await query(server.port, CONTENTS);
      const made = await takeBackup({ ...options, ...(before === null ? {} : incremental(before)) });
      ({ system } = made);
      rounds.push({ info: made.info, twin: before === null ? made.info : await take(), contents });
      before = made.info.label;
    }
    await query(server.port, "insert into empty select generate_series(1, 77)");
    const [[target]] = (await query(server.port, 'select pg_current_wal_lsn()::text')) as [[string]];
    beyond = target;
    await query(server.port, 'truncate empty');
    await query(server.port, 'select pg_switch_wal()');
    await archiving.archived(server);
  });
  afterAll(async () => {
    for (const one of later.splice(0).toReversed()) await one();
  });

  it('are smaller, and know on what they build', async () => {
    const [full, ...others] = rounds.map(({ info }) => info);
    expect(full).toMatchObject({ kind: 'full' });
    expect(full!.parent).toBe(undefined);
    for (const [index, info] of others.entries()) {
      expect(info).toMatchObject({ kind: 'incremental', label: expect.stringMatching(/-incremental$/), parent: { label: rounds[index]!.info.label } });
      expect(info.bytes).toBeLessThan(rounds[index + 1]!.twin.bytes / 2);
      expect((await verifyStored(system, info.label)).problems).toEqual([]);
    }
    const last = await verifyStored(system, others.at(-1)!.label);
    expect(last.lineage.map(({ info }) => info.label)).toEqual(rounds.map(({ info }) => info.label));
  });

  it('combined, they are byte for byte what a full backup of that moment is, and start', async () => {
    for (const { info, twin, contents } of rounds.slice(1)) {
      const data = await combined(info.label);
      expect(await verifyBackup(data)).toEqual([]);
      const [made, full] = [filesOf(data), filesOf(system.dataDir(twin.label))];
      expect([...made.keys()].sort()).toEqual([...full.keys()].sort());
      expect([...made].filter(([path, content]) => tableOf(path) === null && !content.equals(full.get(path)!)).map(([path]) => path)).toEqual([]);
      // Of a visibility map WAL does not tell all: what is in doubt is cleared, and nothing is set that the server has not.
      for (const [path, content] of made) if (tableOf(path) !== null) expect(setBeyond(content, full.get(path)!), path).toEqual([]);
      if (info === rounds[2]!.info) expect([...made].some(([path, content]) => tableOf(path) !== null && bitsOf(content) > 0)).toBe(true);
      expect(made.size).toBeGreaterThan(900);

      // The first and the last: one is combined of two, one of all.
      if (info !== rounds[1]!.info && info !== rounds.at(-1)!.info) continue;
      const { port } = await startCopy(18, data, cleanup);
      expect(await query(port, CONTENTS)).toEqual(contents);
      await checkServer(port);
      const copy = await takeOptions(server, cleanup);
      // A base backup reads every page and refuses one whose checksum is wrong.
      await takeBackup({ ...copy, source: { ...copy.source, port } });
    }
  });

  it('knows the checksums of pages', () => {
    const data = system.dataDir(rounds[0]!.info.label);
    let seen = 0;
    for (const name of readdirSync(join(data, 'base', '5'))) {
      if (!/^\d+(_vm)?$/.test(name)) continue;
      const file = readFileSync(join(data, 'base', '5', name));
      for (let block = 0; block < Math.min(20, file.length / BLOCK_BYTES); block++) {
        const page = file.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
        if (isNewPage(page)) continue;
        expect(pageChecksum(page, block), `${name}, block ${block}`).toBe(page.readUInt16LE(8));
        seen++;
      }
    }
    expect(seen).toBeGreaterThan(300);
  });

  it('are restored to where each ends, and from there to any moment', async () => {
    const restored = async (info: BackupInfo, target: string): Promise<unknown[][]> => {
      const folder = makeDir();
      cleanup.push(() => rmSync(folder, { recursive: true, force: true }));
      const { seen } = await restoreTo(folder, target, { system, info, engine }, (sql) => sql.query<Record<string, unknown>>(CONTENTS));
      return seen.map((row) => Object.values(row));
    };
    const [, second, third] = rounds as [unknown, (typeof rounds)[0], (typeof rounds)[0]];
    expect(await restored(second.info, second.info.stopLsn)).toEqual(second.contents);
    expect(new Map((await restored(second.info, beyond)) as [string, string][]).get('empty')).toMatch(/^77 /);
    expect(new Map((await restored(third.info, 'latest')) as [string, string][]).get('empty')).toBe('0 0');
  });

  it('a flipped bit in any of them is found, and refused by name', async () => {
    const [full, second, newest] = rounds.map(({ info }) => info) as [BackupInfo, BackupInfo, BackupInfo];
    const part = ({ label }: BackupInfo): string => {
      const found = readdirSync(system.dataDir(label), { recursive: true, encoding: 'utf8' }).filter((name) => /^base\/.*\/INCREMENTAL\./.test(name));
      return found.toSorted((a, b) => statSync(join(system.dataDir(label), b)).size - statSync(join(system.dataDir(label), a)).size)[0]!;
    };
    const wal = (info: BackupInfo): string => `pg_wal/${info.wal.find(({ name }) => name.length === 24)!.name}`;
    const cases: [info: BackupInfo, name: string, at: (size: number) => number][] = [
      [full, 'backup_manifest', (size) => size >> 1], [full, 'base/1/1259', () => 8000], [full, 'backup_label', () => 25],
      [second, 'global/pg_control', () => 3], [second, part(second), () => 0], [second, part(second), () => 9], [second, part(second), (size) => size - 1], [second, wal(second), () => 5000],
      [newest, part(newest), () => 5], [newest, part(newest), () => 13], [newest, 'backup_manifest', () => 100],
    ];
    for (const [{ label }, name, at] of cases) {
      const file = join(system.dataDir(label), name);
      const place = at(statSync(file).size);
      flip(file, place);
      const { problems } = await verifyStored(system, newest.label);
      expect(problems.map(({ message }) => message).join('\n'), `${file} at ${place}`).toContain(name);
      expect(problems[0]!.message).toContain(label);
      // A restore asks the same question.
      if (place === 9 || place === 8000) expect(await errorOf(checkRestorable(system, newest, parseTarget('latest'), { signal: NEVER, onProgress: () => {} }))).toMatchObject({ code: 'backup-damaged', message: expect.stringContaining(name) });
      flip(file, place);
    }
    for (const { label } of [full, second]) {
      const file = system.path('backups', label, INFO_FILE);
      const at = readFileSync(file, 'utf8').indexOf('"source"') + 12;
      flip(file, at);
      expect(await errorOf(checkRestorable(system, newest, parseTarget('latest'), { signal: NEVER, onProgress: () => {} }))).toMatchObject({ code: 'backup-damaged', message: expect.stringContaining(file) });
      flip(file, at);
    }
    expect((await verifyStored(system, newest.label)).problems).toEqual([]);
  });

  it('backups that do not fit together are refused, by name', async () => {
    const [full, second, third] = rounds.map(({ info }) => info) as [BackupInfo, BackupInfo, BackupInfo];
    const at = (info: BackupInfo): Generation => generationAt(system.store, system.key('backups', info.label, 'data'), info);
    const refused = async (...lineage: BackupInfo[]): Promise<string> => ((await errorOf(checkLineage(lineage.map(at)))) as Error).message;
    expect(await refused(full, third)).toMatch(new RegExp(`${third.label}/data/backup_label builds on a backup that began at .*, and ${full.label} began at`));
    expect(await refused(second, third)).toContain(`${second.label}/data/backup_label is of an incremental backup`);
    expect(await refused(full, rounds[1]!.twin)).toContain(`${rounds[1]!.twin.label}/data/backup_label is of a full backup`);
    expect(await refused(full, { ...second, systemIdentifier: '7' })).toContain('is of the database system 7');
    expect(await refused({ ...full, timeline: 2 }, second)).toContain('which is not in its past');
    expect(await refused({ ...full, stopLsn: third.startLsn }, second)).toContain('which is not in its past');

    // Another database system, behind the same names.
    const other = await TestPostgres.create(18, { segmentMegabytes: 1, settings: SETTINGS });
    cleanup.push(() => other.destroy());
    const strange = await takeBackup(await takeOptions(other, cleanup));
    const stranger = generationAt(strange.system.store, strange.system.key('backups', strange.info.label, 'data'), { ...strange.info, systemIdentifier: full.systemIdentifier });
    expect(await errorOf(checkLineage([stranger, at(second)]))).toMatchObject({ code: 'backup-damaged', message: expect.stringContaining(`${stranger.dir}/global/pg_control is of the database system`) });

    const missing = system.path('backups', second.label);
    renameSync(missing, `${missing}.away`);
    expect((await verifyStored(system, third.label)).problems).toMatchObject([{ message: expect.stringContaining(`${missing} is missing, and ${third.label} builds on it`) }]);
    renameSync(`${missing}.away`, missing);

    const file = system.path('backups', full.label, INFO_FILE);
    const whole = readFileSync(file);
    writeFileSync(file, encodeInfo({ ...full, manifestSha256: 'another' }));
    expect((await verifyStored(system, third.label)).problems).toMatchObject([{ message: expect.stringContaining(`${system.path('backups', full.label)} is not the backup of that name`) }]);
    writeFileSync(file, whole);
  });

  it('build on the newest backup that is whole', async () => {
    const newest = rounds.at(-1)!.twin.label;
    const file = join(system.dataDir(newest), 'backup_manifest');
    flip(file, 100);
    const chosen: string[] = [];
    const { label, parent } = await take({ ...incremental(), onParent: (one) => void chosen.push(one.label) });
    expect(parent?.label).toBe(rounds.at(-1)!.info.label);
    expect(chosen).toEqual([parent?.label]);
    expect(await errorOf(take(incremental(newest)))).toMatchObject({ code: 'backup-damaged', message: expect.stringContaining(file) });
    expect(await errorOf(take(incremental('20200101T000000Z-full')))).toMatchObject({ code: 'no-such-backup' });
    flip(file, 100);
    await system.remove(label);
  });

  it('a server without summaries refuses, and it is said what to do', async () => {
    const other = await TestPostgres.create(18, { segmentMegabytes: 1, settings: { ...SETTINGS, summarize_wal: 'off' } });
    cleanup.push(() => other.destroy());
    const own = await takeOptions(other, cleanup);
    expect(await errorOf(takeBackup({ ...own, ...incremental() }))).toMatchObject({ code: 'needs-full-backup', message: expect.stringContaining('summarize_wal is off'), hint: expect.stringContaining('pgorbit set summarize_wal=on') });
    other.configure({ summarize_wal: 'on' });
    await other.value('select pg_reload_conf()');
    while ((await other.value('show summarize_wal')) !== 'on') await sleep(20);
    expect(await errorOf(takeBackup({ ...own, ...incremental() }))).toMatchObject({ code: 'needs-full-backup', message: expect.stringContaining('has no backup') });

    const full = await takeBackup(own);
    await other.value('create table t as select generate_series(1, 1000)');
    const next = await takeBackup({ ...own, ...incremental() });
    expect(next.info.parent?.label).toBe(full.info.label);
    const summaries = join(other.walDir, 'summaries');
    for (const name of readdirSync(summaries)) rmSync(join(summaries, name));
    const labels = await full.system.labels();
    expect(await errorOf(takeBackup({ ...own, ...incremental(full.info.label) }))).toMatchObject({ code: 'needs-full-backup', message: expect.stringContaining('WAL summaries are required on timeline 1'), hint: expect.stringContaining('take a full backup') });
    expect(await full.system.labels()).toEqual(labels);
    expect(await pruneBackups(full.system, 1)).toMatchObject({ backups: [], needed: [{ backup: full.info.label, by: [next.info.label] }] });
  });

  it.skipIf(!EVERYTHING)('follow a promotion, and never build on what it left behind', async () => {
    const primary = await TestPostgres.create(18, { segmentMegabytes: 1, settings: SETTINGS });
    cleanup.push(() => primary.destroy());
    await primary.value('create table t (n int)');
    const own = await takeOptions(primary, cleanup, { serverNow: async () => new Date() });
    const first = await takeBackup(own);
    const standby = await startCopy(18, first.system.dataDir(first.info.label), cleanup, primary.port);
    await primary.value('insert into t select generate_series(1, 5)');
    while (((await query(standby.port, 'select count(*)::int from t')) as [[number]])[0][0] < 5) await sleep(20);
    await query(standby.port, "alter system set primary_conninfo = ''");
    await query(standby.port, 'select pg_reload_conf()');
    while ((await primary.value('select count(*) from pg_stat_replication')) !== '0') await sleep(20);
    await primary.value('insert into t select generate_series(100, 3000)');
    const lost = await takeBackup({ ...own, ...incremental() });
    await primary.kill();
    await query(standby.port, 'select pg_promote(true)');
    // Beyond where the other ended: the server does not notice by itself that it is another past.
    while (parseLsn(((await query(standby.port, 'select pg_current_wal_flush_lsn()::text')) as [[string]])[0][0]) <= parseLsn(lost.info.stopLsn)) await query(standby.port, 'insert into t select 6 where not exists (select from t where n = 6); select pg_switch_wal(); select pg_logical_emit_message(true, $$x$$, repeat($$x$$, 100000))');

    const source = { ...own.source, member: 'n2', port: standby.port };
    expect(await errorOf(takeBackup({ ...own, source, ...incremental(lost.info.label) }))).toMatchObject({ code: 'needs-full-backup', message: expect.stringContaining('left it behind in a failover') });
    const { system: folder, info } = await takeBackup({ ...own, source, ...incremental() });
    expect(info).toMatchObject({ timeline: 2, parent: { label: first.info.label } });
    expect((await verifyStored(folder, info.label)).problems).toEqual([]);
    const to = join(scratch(cleanup), 'data');
    await combineBackups({ lineage: await lineageOf(folder, info), to, owner: await postgresOsUser(), onProgress: () => {}, signal: NEVER });
    const { port } = await startCopy(18, to, cleanup);
    expect(await query(port, 'select count(*)::int, max(n) from t')).toEqual([[6, 6]]);

    // From a replica too.
    const replica = await startCopy(18, to, cleanup, standby.port);
    await query(standby.port, 'insert into t values (7); checkpoint');
    while (((await query(replica.port, 'select count(*)::int from t')) as [[number]])[0][0] < 7) await sleep(20);
    const of = await takeBackup({ ...own, source: { ...own.source, member: 'n3', port: replica.port }, ...incremental() });
    expect((await verifyStored(folder, of.info.label)).problems).toEqual([]);
  });
});

describe.skipIf(!(15 in VERSIONS))('PostgreSQL 15', () => {
  it('makes none, and it is said why', async () => {
    const server = await TestPostgres.create(15, { segmentMegabytes: 1 });
    cleanup.push(() => server.destroy());
    const options = await takeOptions(server, cleanup, { incremental: { from: null } });
    expect(await errorOf(takeBackup(options))).toMatchObject({ code: 'needs-full-backup', message: expect.stringContaining('incremental backups begin with 17') });
  });
});
