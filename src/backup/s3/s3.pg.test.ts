/** A PostgreSQL server to S3 and back: backup, archive, verify, restore, removal, and what goes wrong between. */
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../engine/find.ts';
import { testEngines } from '../../engine/testing/scratch.ts';
import { sleep } from '../../lifecycle.ts';
import { EVERYTHING, TestPostgres, makeDir, suiteVersions } from '../../wal/testing/postgres.ts';
import { type ArchiveEvent, runArchiver } from '../archive/archiver.ts';
import type { BackupInfo } from '../info.ts';
import { pruneBackups } from '../remove.ts';
import { SystemFolder, openRepository } from '../repository.ts';
import { takeBackup, type TakeOptions } from '../take.ts';
import { TestArchiving } from '../testing/archiving.ts';
import { countT, restoreTo } from '../testing/restored.ts';
import { TestS3 } from '../testing/s3-server.ts';
import { sourceOf, takeOptions } from '../testing/server.ts';
import { verifyStored } from '../verify.ts';

const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no error', (error: unknown) => error);
const engineHome = mkdtempSync(join(tmpdir(), 'pgorbit-test-engines-'));
chmodSync(engineHome, 0o755);
afterAll(() => rmSync(engineHome, { recursive: true, force: true }));

describe.each(suiteVersions(18))('PostgreSQL %i', (version) => {
  const cleanup: (() => unknown)[] = [];
  let engine: Engine;
  let s3: TestS3;
  let server: TestPostgres;
  let options: TakeOptions;
  let system: SystemFolder;
  let info: BackupInfo;

  async function restored(target: string): Promise<{ rows: number; left: string[] }> {
    const folder = makeDir();
    try {
      const { seen: rows } = await restoreTo(folder, target, { system, info, engine }, countT);
      return { rows, left: readdirSync(folder).sort() };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** Archives until everything that the server has written is in the store. */
  async function archive(spoilt: () => void = () => {}): Promise<ArchiveEvent[]> {
    const archiving = new TestArchiving(options.store, () => sourceOf(server));
    try {
      await archiving.streaming();
      spoilt();
      await archiving.archived(server);
    } finally {
      await archiving.stop();
    }
    return archiving.events;
  }

  beforeAll(async () => {
    engine = (await testEngines(engineHome)).find((one) => one.major === version)!;
    s3 = await TestS3.start(cleanup, { page: 400 });
    server = await TestPostgres.create(version, { segmentMegabytes: 1, settings: { checkpoint_timeout: '1h' } });
    cleanup.push(() => server.destroy());
    await server.value('create table t (n int)');
    await server.value("create table wide as select repeat(md5(n::text), 100) as x from generate_series(1, 3000) n");
    await server.value('insert into t values (1)');
    options = await takeOptions(server, cleanup, { store: await openRepository(s3.store({ limits: { part: 300_000 } }), { make: true }) });
    await archive();
    ({ system, info } = await takeBackup(options));
    for (let n = 2; n <= 5; n++) {
      await server.value(`insert into t values (${n})`);
      await server.value('select pg_switch_wal()');
    }
    await server.value('insert into t values (6)');
    await archive();
  });
  afterAll(async () => {
    for (const one of cleanup.splice(0).toReversed()) await one();
  });
  beforeEach(() => {
    s3.fault = () => null;
  });

  it('keeps a backup and its WAL as they are, large files in parts', async () => {
    expect(s3.asked.some(({ query }) => query['partNumber'] !== undefined)).toBe(true);
    expect(s3.uploads()).toEqual([]);
    expect(await system.labels()).toEqual([info.label]);
    expect(info.folders).toContain('pg_notify');
    const verdict = await verifyStored(system, info.label);
    expect(verdict.problems).toEqual([]);
    expect(verdict.chain!.segments.filter(({ archived, partial }) => archived && !partial).length).toBeGreaterThan(3);
    // As the server has them.
    const names = (await system.store.list(system.key('wal'))).map(({ key }) => key.slice(key.lastIndexOf('/') + 1)).filter((name) => name.length === 24 && readdirSync(server.walDir).includes(name));
    expect(names.length).toBeGreaterThan(2);
    for (const name of names) expect((await system.store.get(system.key('wal', name)))!.equals(readFileSync(join(server.walDir, name)))).toBe(true);
    const part = (await system.store.list(system.key('wal'))).find(({ key }) => key.endsWith('.partial'));
    expect(part!.size).toBeLessThan(1 << 20);
  });

  it('restores over a bad connection', async () => {
    let asked = 0;
    s3.fault = ({ method }) => (method === 'GET' && ++asked % 50 === 0 ? (asked % 100 === 0 ? { kind: 'status', status: 500, code: 'InternalError' } : { kind: 'cut', bytes: 5_000 }) : null);
    expect(await restored('latest')).toEqual({ rows: 6, left: ['data', 'log'] });
    expect(asked).toBeGreaterThan(100);
  });

  it('names an object of which a byte has changed, or that is gone', async () => {
    const base = `here/${system.key('backups', info.label, 'data')}`;
    const segment = (await verifyStored(system, info.label)).chain!.segments.find(({ archived, partial, name }) => archived && !partial && !info.wal.some((own) => own.name === name))!.name;
    for (const [key, shown, kind] of [[`${base}/PG_VERSION`, 'PG_VERSION', 'backup'], [`here/${system.key('wal', segment)}`, system.path('wal', segment), 'wal']] as const) {
      const file = s3.file(key);
      const whole = readFileSync(file);
      const flipped = Buffer.from(whole);
      flipped[0]! ^= 1;
      writeFileSync(file, flipped);
      expect((await verifyStored(system, info.label)).problems).toMatchObject([{ path: `s3://backups/${key}`, kind, message: expect.stringContaining(shown) }]);
      if (kind === 'wal') expect(await errorOf(restored('latest'))).toMatchObject({ code: 'backup-damaged', message: expect.stringContaining(shown) });
      rmSync(file);
      expect((await verifyStored(system, info.label)).problems).toMatchObject([{ path: `s3://backups/${key}`, message: expect.stringContaining(`${shown} is missing`) }]);
      writeFileSync(file, whole);
    }
  });

  it('takes no file for damaged when the store cannot be reached', async () => {
    s3.fault = ({ key }) => (key.endsWith('PG_VERSION') ? { kind: 'status', status: 503, code: 'SlowDown' } : null);
    expect(await errorOf(verifyStored(system, info.label))).toMatchObject({ code: 'host-unreachable' });
  });

  it.skipIf(!EVERYTHING)('an upload that fails or is ended leaves nothing behind, and the next one succeeds', async () => {
    const before = s3.keys();
    const same = (): void => expect(s3.keys().filter((key) => !key.endsWith('.gone'))).toEqual(before);
    s3.fault = ({ query, method }) => (method === 'PUT' && query['partNumber'] === '3' ? { kind: 'status', status: 403, code: 'AccessDenied' } : null);
    expect(await errorOf(takeBackup(options))).toMatchObject({ code: 'permission', hint: expect.stringContaining('s3:PutObject') });
    same();
    s3.fault = ({ key, method }) => (method === 'PUT' && key.endsWith('backup.json') ? { kind: 'drop', done: true } : null);
    await sleep(1_000);
    expect(await errorOf(takeBackup(options))).toMatchObject({ code: 'host-unreachable' });
    same();
    s3.fault = () => null;
    const stop = new AbortController();
    await sleep(1_000);
    const store = await openRepository(s3.store({ signal: stop.signal }));
    expect(await errorOf(takeBackup({ ...options, store, signal: stop.signal, onProgress: ({ step, done }) => void (step === 'copy' && done > 0 && stop.abort(new Error('ended'))) }))).toMatchObject({ code: 'operation-failed' });
    same();
    expect([await system.labels(), s3.uploads()]).toEqual([[info.label], []]);

    await sleep(1_000);
    let asked = 0;
    s3.fault = ({ method }) => (method === 'PUT' && ++asked % 50 === 0 ? (asked % 100 === 0 ? { kind: 'drop', done: true } : { kind: 'flip' }) : null);
    const second = await takeBackup(options);
    expect(asked).toBeGreaterThan(100);
    s3.fault = () => null;
    expect((await verifyStored(system, second.info.label)).problems).toEqual([]);
    expect(await pruneBackups(system, 1)).toMatchObject({ backups: [info.label] });
    expect(await system.labels()).toEqual([second.info.label]);
    expect(s3.keys().some((key) => key.includes(`/${info.label}/`))).toBe(false);
    expect((await verifyStored(system, second.info.label)).problems).toEqual([]);
    info = second.info;
  });

  it('one that lost its lease publishes nothing', async () => {
    const store = await openRepository(s3.store({ lease: { lease: 60_000, held: 500, renew: 50 } }));
    s3.fault = ({ key, method }) => (method === 'PUT' && key.includes('/lock/') && s3.asked.some((asked) => asked.key.endsWith('base/1/1259') && asked.method === 'PUT') ? { kind: 'drop', done: false } : null);
    s3.asked.length = 0;
    expect(await errorOf(takeBackup({ ...options, store, rate: 4 << 20 }))).toMatchObject({ code: 'locked', message: expect.stringContaining('could not be kept') });
    s3.fault = () => null;
    expect(await system.labels()).toEqual([info.label]);
  });

  it('an archive goes on over a bad connection, where it ended, without a gap', async () => {
    let asked = 0;
    const events = await archive(() => {
      s3.fault = ({ method }) => (method === 'PUT' && ++asked % 3 !== 0 ? { kind: 'drop', done: asked % 2 === 0 } : null);
    });
    expect(events.filter(({ kind }) => kind === 'waiting')).toEqual([]);
    await server.value("select pg_logical_emit_message(true, 'x', repeat('x', 100000)) from generate_series(1, 45)");
    await archive();
    await archive();
    const { chain, problems } = await verifyStored(system, info.label);
    expect([problems, chain!.missing]).toEqual([[], []]);
  });

  it('an archive waits for a store that is away, and takes the lock again that it lost meanwhile', async () => {
    const store = await openRepository(s3.store({ lease: { lease: 60_000, held: 400, renew: 50 } }));
    const archiving = new TestArchiving(store, () => sourceOf(server));
    await archiving.streaming();
    s3.fault = () => ({ kind: 'status', status: 503, code: 'SlowDown' });
    await server.value("select pg_logical_emit_message(true, 'x', repeat('x', 100000)) from generate_series(1, 25)");
    await archiving.until((event) => event.kind === 'waiting');
    await sleep(1_000);
    s3.fault = () => null;
    await archiving.archived(server);
    expect(archiving.events.filter((event) => event.kind === 'streaming').length).toBeGreaterThan(1);
    expect(s3.keys().filter((key) => key.includes('/archive.lock/'))).toHaveLength(1);
    await archiving.stop();
    expect(s3.keys().filter((key) => key.includes('/archive.lock/'))).toEqual([]);
  });

  it('an archive never replaces a segment by another, and tells', async () => {
    const end = await server.value('select pg_walfile_name(pg_current_wal_lsn())');
    const key = system.key('wal', end);
    const other = Buffer.alloc(1 << 20, 'other');
    await system.store.put(key, other);
    await system.store.put(system.key('sums', end), Buffer.from('00000000\n'));
    const stop = new AbortController();
    // As if it had not been seen yet.
    const hidden = s3.file(`here/${key}`);
    s3.fault = ({ method, query }) => (method === 'GET' && query['list-type'] === '2' && query['prefix']?.endsWith('/wal/') === true ? (rmSync(hidden, { force: true }), null) : null);
    const archiving = errorOf(runArchiver({
      store: options.store, cluster: 'shop', group: 'main', now: () => performance.now(), signal: stop.signal, find: async () => ({ source: sourceOf(server), others: [] }),
      onEvent: (event) => {
        if (event.kind !== 'streaming') return;
        s3.fault = () => null;
        writeFileSync(hidden, other);
      },
    }));
    await sleep(500);
    await server.value("select pg_logical_emit_message(true, 'x', repeat('x', 100000)) from generate_series(1, 25)");
    expect(await archiving).toMatchObject({ code: 'wal-invalid', message: expect.stringContaining('it differs') });
    stop.abort();
    expect((await system.store.get(key))!.equals(other)).toBe(true);
  });
});
