/** The archiver as a process of its own, as an agent runs it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isAlive, sendSignal } from '../../engine/proc.ts';
import { sleep } from '../../lifecycle.ts';
import { parseLsn } from '../../wal/lsn.ts';
import { TestPostgres, suiteVersions } from '../../wal/testing/postgres.ts';
import { openRepository, SystemFolder } from '../repository.ts';
import { takeBackup } from '../take.ts';
import { SLOT, archivedBy, archiverOf, startedIn } from '../testing/archiver.ts';
import { scratch, takeOptions } from '../testing/server.ts';
import { chainOf, verifyStored } from '../verify.ts';
import { configFile, logFile, type ArchiverFile, type ArchiverStatus } from './files.ts';
import { adoptArchiver, startArchiver } from './process.ts';

describe.each(suiteVersions(18))('an archiver of PostgreSQL %i', (version) => {
  const cleanup: (() => unknown)[] = [];
  const undo: (() => unknown)[] = [];
  let server: TestPostgres;
  let to: string;
  let config: ArchiverFile;
  let dir: string;

  beforeAll(async () => {
    server = await TestPostgres.create(version, { segmentMegabytes: 1, settings: { max_wal_size: '2MB', min_wal_size: '2MB', wal_keep_size: 0 } });
    cleanup.push(() => server.destroy());
    to = join(scratch(cleanup), 'repository');
    config = await archiverOf(server, to);
    dir = await started();
  });
  afterEach(async () => {
    for (const one of undo.splice(0).toReversed()) await one();
  });
  afterAll(async () => {
    for (const one of cleanup.splice(0).toReversed()) await one();
  });

  /** An archiver with the present configuration. */
  const started = (): Promise<string> => startedIn(config, cleanup);
  const load = (megabytes: number): Promise<string> => server.value(`select pg_logical_emit_message(true, 'x', repeat('x', 100000)) from generate_series(1, ${megabytes * 10})`);
  const archived = (folder = dir, found?: (status: ArchiverStatus) => boolean): Promise<ArchiverStatus> => archivedBy(folder, server, found);

  async function system(): Promise<SystemFolder> {
    const [only] = await SystemFolder.all(await openRepository(to));
    return only!;
  }

  const pidIn = (folder: string): number => {
    const found = adoptArchiver(folder);
    found?.release();
    return found?.id.pid ?? 0;
  };

  /** The names of whole segments; each is the server's where that still has it. */
  async function segments(): Promise<string[]> {
    const own = await system();
    const names = readdirSync(own.path('wal')).filter((name) => name.length === 24).sort();
    for (const name of names) if (existsSync(join(server.walDir, name))) expect(readFileSync(own.path('wal', name)).equals(readFileSync(join(server.walDir, name)))).toBe(true);
    return names;
  }

  const numbers = (names: string[]): number[] => names.map((name) => Number.parseInt(name.slice(16), 16));
  const whole = (names: string[]): void => expect(numbers(names)).toEqual(numbers(names).map((_, i) => numbers(names)[0]! + i));

  it('archives what is written, as the server has it, by its slot, and says how far it is', async () => {
    await archived();
    await load(3);
    const status = await archived();
    expect(status).toMatchObject({ state: 'streaming', epoch: 1, source: 'n1', timeline: 1, error: null, gap: null });
    expect((await segments()).length).toBeGreaterThan(2);
    expect(await server.value(`select active from pg_replication_slots where slot_name = '${SLOT}'`)).toBe('true');
    expect(readdirSync((await system()).path('wal'))).toContain(`${status.segment}.partial`);
    await takeBackup(await takeOptions(server, cleanup, { store: await openRepository(to) }));
  });

  it('goes on where it was when it is killed, with all that was written meanwhile', async () => {
    const pid = pidIn(dir);
    sendSignal(pid, 'SIGKILL');
    while (pidIn(dir) === pid) await sleep(5);
    await load(3);
    await server.value('checkpoint');
    (await startArchiver(dir)).release();
    await archived();
    whole(await segments());
  });

  it('ends as soon as a later one of the group is at work, and never takes anything back', async () => {
    const before = dir;
    const pid = pidIn(before);
    config = { ...config, epoch: 2, make: false };
    dir = await started();
    await archived();
    while (pidIn(before) === pid) await sleep(5);
    await (await startArchiver(before)).exited;
    expect(readFileSync(logFile(before), 'utf8')).toContain('archiver 2 of the group is at work');
    await load(1);
    await archived();
    whole(await segments());
  });

  it('leaves the repository alone while somebody else archives to it by hand, and says so', async () => {
    const own = await system();
    const pid = pidIn(dir);
    sendSignal(pid, 'SIGTERM');
    while (pidIn(dir) === pid) await sleep(5);
    const { lockFile } = await import('../lock.ts');
    const release = await lockFile(own.path('archive.lock'), 'somebody');
    undo.push(release);
    (await startArchiver(dir)).release();
    expect(await archived(dir, (status) => status.error !== null)).toMatchObject({ state: 'waiting', error: { code: 'locked', message: expect.stringContaining('somebody') } });
    await release();
    await archived();
  });

  it('never makes a repository anew in the place of one that went away', async () => {
    renameSync(to, `${to}.away`);
    await load(1);
    expect(await archived(dir, (status) => status.error?.code === 'no-such-backup')).toMatchObject({ state: 'waiting', error: { code: 'no-such-backup', hint: expect.stringContaining('mounted') } });
    expect(existsSync(to)).toBe(false);
    renameSync(`${to}.away`, to);
    await archived();
    whole(await segments());
  });

  it('says which WAL nobody has any more, goes on behind it, and is well again with a newer backup', async () => {
    const pid = pidIn(dir);
    sendSignal(pid, 'SIGKILL');
    while (pidIn(dir) === pid) await sleep(5);
    while ((await server.value('select count(*) from pg_replication_slots where active')) !== '0') await sleep(20);
    await server.value(`select pg_drop_replication_slot('${SLOT}')`);
    for (let i = 0; i < 3; i++) {
      await load(4);
      await server.value('checkpoint');
    }
    await server.value(`select pg_create_physical_replication_slot('${SLOT}', true)`);
    (await startArchiver(dir)).release();
    expect(await archived(dir, (status) => status.error !== null)).toMatchObject({ error: { code: 'wal-invalid', hint: expect.stringContaining('take a new backup') } });
    const { gap } = await archived();
    expect(gap).toMatchObject({ timeline: 1 });
    const own = await system();
    const [label] = await own.labels();
    const chain = await chainOf(own, await own.info(label!));
    expect(chain.missing.length).toBeGreaterThan(1);
    expect((await verifyStored(own, label!)).problems[0]!.message).toContain(`${chain.missing[0]} is missing`);
    expect(parseLsn(gap!.from)).toBe(chain.end);
    await takeBackup(await takeOptions(server, cleanup, { store: await openRepository(to) }));
    sendSignal(pidIn(dir), 'SIGTERM');
    while (pidIn(dir) !== 0) await sleep(5);
    (await startArchiver(dir)).release();
    expect(await archived()).toMatchObject({ gap: null });
  });

  it.skipIf(process.getuid?.() !== 0)('waits for room on a full file system, says so, and then goes on (needs root for tmpfs)', async () => {
    const folder = join(scratch(cleanup), 'small');
    mkdirSync(folder);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0755', 'pgorbit-test', folder]);
    cleanup.push(() => execFileSync('umount', [folder]));
    const before = config;
    config = { ...config, to: join(folder, 'repository'), make: true };
    undo.push(() => void (config = before));
    const small = await started();
    undo.push(async () => {
      const { exited, release } = adoptArchiver(small)!;
      rmSync(configFile(small));
      await exited;
      release();
    });
    await archived(small);
    await load(8);
    expect(await archived(small, (status) => status.error?.code === 'volume-full')).toMatchObject({ state: 'waiting', error: { code: 'volume-full' } });
    execFileSync('mount', ['-o', 'remount,size=40m', folder]);
    expect(await archived(small)).toMatchObject({ error: null, gap: null });
  });

  it('ends when its configuration is gone', async () => {
    const running = adoptArchiver(dir)!;
    rmSync(configFile(dir));
    await running.exited;
    expect(isAlive(running.id)).toBe(false);
  });
});
