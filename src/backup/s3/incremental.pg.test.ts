/** An incremental backup of a PostgreSQL server to S3, and a server made of it and all that it builds on. */
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../engine/find.ts';
import { postgresOsUser } from '../../engine/osuser.ts';
import { testEngines } from '../../engine/testing/scratch.ts';
import { sleep } from '../../lifecycle.ts';
import { parseLsn } from '../../wal/lsn.ts';
import { TestPostgres, VERSIONS, makeDir } from '../../wal/testing/postgres.ts';
import { type ArchiveEvent, runArchiver } from '../archive/archiver.ts';
import type { BackupInfo } from '../info.ts';
import { type SystemFolder, openRepository } from '../repository.ts';
import { checkRestorable, restoreData } from '../restore/restore.ts';
import { parseTarget } from '../restore/target.ts';
import { takeBackup, type TakeOptions } from '../take.ts';
import { TestS3 } from '../testing/s3-server.ts';
import { NEVER, flip, sourceOf, takeOptions } from '../testing/server.ts';
import { verifyStored } from '../verify.ts';

const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no error', (error: unknown) => error);
const engineHome = mkdtempSync(join(tmpdir(), 'pgorbit-test-engines-'));
chmodSync(engineHome, 0o755);
afterAll(() => rmSync(engineHome, { recursive: true, force: true }));

/** Rows and a sum over all of what is in them. */
const CONTENTS = "select count(*)::int || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) as contents from t";
const ROUNDS = [
  ["create table t as select n, repeat(md5(n::text), 20) as x from generate_series(1, 4000) n", 'create table later (n int)'],
  ["update t set x = 'changed' where n % 1000 = 0", 'delete from t where n between 100 and 150', 'insert into t select n from generate_series(5001, 5050) n'],
  ["insert into t values (-1, 'last')", "update t set x = 'again' where n = 2000", 'create table made as select n from generate_series(1, 500) n'],
];

const flipped = (file: string): void => flip(file, statSync(file).size >> 1);

describe.skipIf(!(18 in VERSIONS))('incremental backups in S3 (need PostgreSQL 18)', () => {
  const cleanup: (() => unknown)[] = [];
  const undo: (() => unknown)[] = [];
  let engine: Engine;
  let s3: TestS3;
  let server: TestPostgres;
  let options: TakeOptions;
  let system: SystemFolder;
  const rounds: { info: BackupInfo; contents: string }[] = [];
  /** After the last backup, in archived WAL only. */
  let end = '';

  /** What a server has that was restored to `target`; nothing is left of it. */
  async function restored(info: BackupInfo, target: string): Promise<{ contents: string; left: string[] }> {
    const folder = makeDir();
    try {
      const parsed = parseTarget(target);
      const verdict = await checkRestorable(system, info, parsed, { signal: NEVER, onProgress: () => {} });
      let contents = '';
      await restoreData({
        system, verdict, target: parsed, engine, user: await postgresOsUser(), dir: folder, logFile: join(folder, 'log'), superuser: 'postgres', onProgress: () => {}, signal: NEVER,
        settle: async (connect) => {
          const sql = connect('postgres');
          contents = (await sql.query<{ contents: string }>(CONTENTS))[0]!.contents;
          await sql.close();
        },
      });
      return { contents, left: readdirSync(folder).sort() };
    } finally {
      expect(readdirSync(folder)).not.toContain('data.fetched');
      rmSync(folder, { recursive: true, force: true });
    }
  }

  beforeAll(async () => {
    engine = (await testEngines(engineHome)).find((one) => one.major === 18)!;
    s3 = await TestS3.start(cleanup, { page: 400 });
    server = await TestPostgres.create(18, { segmentMegabytes: 1, settings: { checkpoint_timeout: '1h', summarize_wal: 'on', wal_keep_size: '64MB' } });
    cleanup.push(() => server.destroy());
    options = await takeOptions(server, cleanup, { store: await openRepository(s3.store(), { make: true }) });
    const stop = new AbortController();
    const events: ArchiveEvent[] = [];
    const archiving = runArchiver({
      store: options.store, cluster: 'shop', group: 'main', now: () => performance.now(), signal: stop.signal, find: async () => ({ source: sourceOf(server), others: [] }), onEvent: (event) => void events.push(event),
    });
    while (!events.some((event) => event.kind === 'streaming')) await sleep(20);
    for (const statements of ROUNDS) {
      for (const statement of statements) await server.value(statement);
      const contents = await server.value(CONTENTS);
      const made = await takeBackup({ ...options, incremental: rounds.length === 0 ? null : { from: null } });
      system = made.system;
      rounds.push({ info: made.info, contents });
    }
    await server.value("insert into t select n, 'archived' from generate_series(9001, 9020) n");
    end = await server.value(CONTENTS);
    await server.value('select pg_switch_wal()');
    const flushed = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
    while (!events.some((event) => event.kind === 'archived' && parseLsn(event.lsn) >= flushed)) await sleep(20);
    stop.abort();
    await archiving;
  });
  afterAll(async () => {
    for (const one of cleanup.splice(0).toReversed()) await one();
  });
  afterEach(() => {
    for (const one of undo.splice(0).toReversed()) one();
  });

  it('have the rows of the moment at which each ended, and those of the archive behind it, fetched object by object once', async () => {
    const [, second, third] = rounds;
    expect(rounds.map(({ info }) => info.parent?.label)).toEqual([undefined, rounds[0]!.info.label, second!.info.label]);
    expect(third!.info.bytes).toBeLessThan(rounds[0]!.info.bytes / 2);
    expect(await restored(second!.info, second!.info.stopLsn)).toEqual({ contents: second!.contents, left: ['data', 'log'] });
    s3.asked.length = 0;
    expect(await restored(third!.info, 'latest')).toEqual({ contents: end, left: ['data', 'log'] });
    const asked = s3.asked.filter(({ method }) => method === 'GET').map(({ key }) => key);
    // WAL comes when it is replayed, and not before.
    const copied = asked.findLastIndex((key) => /\/backups\/[^/]*\/data\/(?!pg_wal\/.*history)/.test(key));
    const fetched = asked.slice(0, copied + 1).filter((key) => key !== '' && !key.endsWith('/backup.json'));
    expect(fetched.length).toBeGreaterThan(1000);
    expect(fetched.filter((key, i) => fetched.indexOf(key) !== i)).toEqual([]);
    expect(fetched.filter((key) => /\/wal\/[0-9A-F]{24}$/.test(key))).toEqual([]);
    expect(asked.slice(copied).filter((key) => /\/wal\/[0-9A-F]{24}$/.test(key)).length).toBeGreaterThan(1);
  });

  it('are found damaged, and refused, by the name of the object, wherever on the way it lies', async () => {
    const [full, second, newest] = rounds.map(({ info }) => info) as [BackupInfo, BackupInfo, BackupInfo];
    const within = `here/${system.dataKey(second.label)}/`;
    const part = s3.keys().find((key) => key.startsWith(`${within}base/`) && key.includes('/INCREMENTAL.'))!.slice(within.length);
    const wal = `pg_wal/${second.wal.find(({ name }) => name.length === 24)!.name}`;
    const damaged: { label: string; path: string; shown: string; mend: () => void }[] = [];
    for (const [{ label }, path, spoil] of [[full, 'base/1/1259', flipped], [second, part, rmSync], [second, wal, flipped], [newest, 'PG_VERSION', rmSync]] as const) {
      const key = system.key('backups', label, 'data', path);
      const file = s3.file(`here/${key}`);
      const whole = readFileSync(file);
      const mend = (): void => writeFileSync(file, whole);
      undo.push(mend);
      spoil(file);
      damaged.push({ label, path, shown: system.store.path(key), mend });
    }
    const { problems } = await verifyStored(system, newest.label);
    expect(problems.map(({ path, kind }) => [path, kind])).toEqual(damaged.map(({ shown }) => [shown, 'backup']));
    for (const [i, { path }] of damaged.entries()) expect(problems[i]!.message).toContain(path);
    // What is refused first is what is fetched first.
    for (const { label, path, mend } of damaged) {
      const error = await errorOf(restored(newest, 'latest'));
      expect(error).toMatchObject({ code: 'backup-damaged', message: expect.stringContaining(`backup ${newest.label} can't be restored: `) as string });
      for (const said of [`s3://backups/here/${system.dataKey(label)}`, path]) expect((error as Error).message).toContain(said);
      mend();
    }
  });

  it('are refused without one that they build on', async () => {
    const [, second, newest] = rounds.map(({ info }) => info) as [BackupInfo, BackupInfo, BackupInfo];
    const file = s3.file(`here/${system.key('backups', second.label, 'backup.json')}`);
    const whole = readFileSync(file);
    undo.push(() => writeFileSync(file, whole));
    rmSync(file);
    const message = expect.stringContaining(`${second.label}/backup.json is missing`) as string;
    expect((await verifyStored(system, newest.label)).problems).toMatchObject([{ message }]);
    expect(await errorOf(restored(newest, 'latest'))).toMatchObject({ code: 'backup-damaged', message });
  });
});
