import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, connect as connectSocket, type Server } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startLoad } from '../wal/testing/load.ts';
import { TestPostgres, command, freePort, suiteVersions } from '../wal/testing/postgres.ts';
import { openRepository, SystemFolder } from './repository.ts';
import type { Store } from './store.ts';
import { flip, query, scratch, sourceOf, startCopy, takeOptions } from './testing/server.ts';
import { takeBackup } from './take.ts';
import { verifyStored } from './verify.ts';

const VERIFY = '/usr/lib/postgresql/15/bin/pg_verifybackup';
const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of cleanup.splice(0).toReversed()) await one();
});

const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no error', (error: unknown) => error);

/** What the repository holds that counts as a backup, and what does not. */
async function contents(store: Store): Promise<{ labels: string[]; folders: string[] }> {
  const [system] = await SystemFolder.all(store);
  return { labels: (await system?.labels()) ?? [], folders: system === undefined || !existsSync(system.path('backups')) ? [] : readdirSync(system.path('backups')) };
}

/** Lets connections through to `port` until `cut` is called, `after` bytes later at the latest. */
async function proxy(port: number, after: number): Promise<{ port: number; server: Server }> {
  const server = createServer((client) => {
    const upstream = connectSocket(port, '127.0.0.1');
    let passed = 0;
    upstream.on('data', (chunk: Buffer) => {
      passed += chunk.length;
      client.write(chunk);
      if (passed > after) for (const one of [client, upstream]) one.destroy();
    });
    client.on('data', (chunk: Buffer) => upstream.write(chunk));
    for (const one of [client, upstream]) one.on('error', () => {}).on('close', () => [client, upstream].forEach((other) => other.destroy()));
  });
  const own = await freePort();
  await new Promise<void>((resolve) => server.listen(own, '127.0.0.1', resolve));
  cleanup.push(() => new Promise((resolve) => server.close(resolve)));
  return { port: own, server };
}

describe.each(suiteVersions(18))('PostgreSQL %i', (version) => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await TestPostgres.create(version, { segmentMegabytes: 1, settings: { checkpoint_timeout: '1h', hot_standby: 'on' } });
    await server.value("create table filler as select g, repeat('x', 200) as pad from generate_series(1, 60000) g");
  });
  afterAll(() => server.destroy());

  it('a backup under load verifies, is what pg_verifybackup accepts, and pg_ctl alone starts it', async () => {
    const load = await startLoad(server, 2);
    while (load.acknowledged() < 30) await new Promise((resolve) => setTimeout(resolve, 20));
    const before = load.numbers();
    const options = await takeOptions(server, cleanup);
    const { system, info } = await takeBackup(options);
    load.stop();
    await load.ended;

    expect(info).toMatchObject({ kind: 'full', cluster: 'shop', group: 'main', major: version, segmentSize: 1 << 20, timeline: 1, settings: { work_mem: '8MB' } });
    expect(Date.parse(info.stoppedAt)).toBeGreaterThanOrEqual(Date.parse(info.startedAt));
    expect(await system.labels()).toEqual([info.label]);
    const verdict = await verifyStored(system, info.label);
    expect(verdict.problems).toEqual([]);
    expect(verdict.chain!.segments.map(({ name }) => name)).toEqual(info.wal.map(({ name }) => name).filter((name) => name.length === 24));
    const data = system.dataDir(info.label);
    if (version === 15) expect(await command(VERIFY, [data])).toContain('successfully verified');

    const { port } = await startCopy(version, data, cleanup);
    expect(await query(port, `select count(*)::int from unnest(array[${before.join()}]) n where not exists (select from load where number = n)`)).toEqual([[0]]);
  });

  it('a backup of a replica is a server of its own, not a standby', async () => {
    const options = await takeOptions(server, cleanup);
    const first = await takeBackup(options);
    const { port } = await startCopy(version, first.system.dataDir(first.info.label), cleanup, server.port);

    const { system, info } = await takeBackup({ ...options, source: { ...options.source, member: 'n2', port } });
    expect(info.source).toBe('n2');
    const data = system.dataDir(info.label);
    expect(existsSync(join(data, 'standby.signal'))).toBe(false);
    expect((await verifyStored(system, info.label)).problems).toEqual([]);
    if (version === 15) expect(await command(VERIFY, [data])).toContain('successfully verified');
    const { port: own } = await startCopy(version, data, cleanup);
    expect(await query(own, 'select pg_is_in_recovery(), count(*)::int from filler')).toEqual([[false, 60_000]]);
  });

  it('a flipped bit, a missing file and a missing segment are found, by name', async () => {
    const { system, info } = await takeBackup(await takeOptions(server, cleanup));
    const data = system.dataDir(info.label);
    const told = async (): Promise<string[]> => (await verifyStored(system, info.label)).problems.map(({ path }) => path);

    const table = join(data, 'base', '1', readdirSync(join(data, 'base', '1')).find((name) => /^\d+$/.test(name) && statSync(join(data, 'base', '1', name)).size > 0)!);
    flip(table, 100);
    expect(await told()).toEqual([table]);
    flip(table, 100);
    renameSync(join(data, 'PG_VERSION'), join(data, '..', 'PG_VERSION'));
    expect(await told()).toEqual([join(data, 'PG_VERSION')]);
    renameSync(join(data, '..', 'PG_VERSION'), join(data, 'PG_VERSION'));

    const segment = join(data, 'pg_wal', info.wal.find(({ name }) => name.length === 24)!.name);
    flip(segment, statSync(segment).size - 1);
    expect(await told()).toEqual([segment]);
    rmSync(segment);
    expect(await told()).toEqual([segment]);

    const infoFile = system.path('backups', info.label, 'backup.json');
    writeFileSync(infoFile, readFileSync(infoFile, 'utf8').replace('"timeline": 1', '"timeline": 2'));
    expect(await errorOf(verifyStored(system, info.label))).toMatchObject({ code: 'backup-damaged', message: expect.stringContaining(infoFile) });
  });

  it('a connection that drops and a source that dies leave nothing behind, and the next try succeeds', async () => {
    const options = await takeOptions(server, cleanup);
    const { port } = await proxy(server.port, 4 << 20);
    expect(await errorOf(takeBackup({ ...options, source: { ...options.source, port } }))).toMatchObject({ code: 'host-unreachable' });
    expect(await contents(options.store)).toEqual({ labels: [], folders: [] });

    let killed: Promise<void> | null = null;
    const dying = takeBackup({ ...options, rate: 1 << 20, onProgress: ({ step, done }) => void (step === 'copy' && done > 0 && (killed ??= server.kill())) });
    expect(await errorOf(dying)).toMatchObject({ code: 'host-unreachable' });
    await killed;
    expect(await contents(options.store)).toEqual({ labels: [], folders: [] });

    await server.start();
    const { system, info } = await takeBackup(options);
    expect((await verifyStored(system, info.label)).problems).toEqual([]);
  });

  it.skipIf(process.getuid?.() !== 0)('a full file system leaves nothing behind, and with room there the next try succeeds (needs root for tmpfs)', async () => {
    const small = join(scratch(cleanup), 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m,mode=0755', 'pgorbit-test', small]);
    cleanup.push(() => execFileSync('umount', [small]));
    const options = await takeOptions(server, cleanup, { store: await openRepository(join(small, 'repository'), { make: true }) });
    expect(await errorOf(takeBackup(options))).toMatchObject({ code: 'volume-full', message: expect.stringContaining(small) });
    expect(await contents(options.store)).toEqual({ labels: [], folders: [] });
    execFileSync('mount', ['-o', 'remount,size=200m', small]);
    const { system, info } = await takeBackup(options);
    expect((await verifyStored(system, info.label)).problems).toEqual([]);
  });

  it('one that is killed leaves nothing that counts, and the next one clears it', async () => {
    const options = await takeOptions(server, cleanup);
    const once = fileURLToPath(new URL('testing/take-once.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', once], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end(JSON.stringify({ repository: options.store.where, source: sourceOf(server), owner: options.owner, rate: 1 << 20 }));
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('exit', (code) => reject(new Error(`it ended with ${code}`)));
    });
    expect(await errorOf(takeBackup(options))).toMatchObject({ code: 'locked' });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    const left = await contents(options.store);
    expect(left.labels).toEqual([]);
    expect(left.folders).toHaveLength(1);

    const { system, info } = await takeBackup(options);
    expect(await contents(options.store)).toEqual({ labels: [info.label], folders: [info.label] });
    expect((await verifyStored(system, info.label)).problems).toEqual([]);
  });
});
