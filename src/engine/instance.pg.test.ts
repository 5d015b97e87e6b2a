import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sleep } from '../lifecycle.ts';
import { readControlFile } from './control.ts';
import type { Engine } from './find.ts';
import { readPidFile } from './pidfile.ts';
import { adoptPostgres, startPostgres, stopPostgres, type Postmaster } from './postmaster.ts';
import { isAlive } from './proc.ts';
import { isReady } from './sql.ts';
import { makeInstance, PASSWORD, scratchFolder, testEngines, type Instance } from './testing/scratch.ts';

const run = promisify(execFile);

const home = await scratchFolder();
const engines = await testEngines(home);
afterAll(() => rm(home, { recursive: true, force: true }));

async function untilReady(instance: Instance): Promise<void> {
  while (!(await isReady({ host: '127.0.0.1', port: instance.port, user: 'admin', password: PASSWORD }))) await sleep(20);
}

test('this machine has the engines that these tests are for', () => {
  expect(engines.map((engine) => engine.major)).toEqual(expect.arrayContaining([18]));
});

describe.each(engines.map((engine) => [`${engine.version} ${engine.source}`, engine] as const))('PostgreSQL %s', (_, engine: Engine) => {
  let instance: Instance;
  const left: Postmaster[] = [];
  beforeEach(async () => {
    instance = await makeInstance(home, `m${engine.major}`, engine, { cgroup: true });
  });
  afterEach(async () => {
    for (const postmaster of left.splice(0)) postmaster.release();
    await instance.destroy();
  });
  const start = async (settings?: Record<string, string>): Promise<Postmaster> => {
    const postmaster = await instance.start(settings);
    left.push(postmaster);
    return postmaster;
  };

  test('starts as the postmaster itself, in its cgroup, as its user, with our settings, and stops', async () => {
    const postmaster = await start({ work_mem: '5MB' });
    expect((await readPidFile(instance.dataDir))?.pid).toBe(postmaster.id.pid);
    expect(postmaster.adopted).toBe(false);
    expect((await instance.cgroup?.pids()) ?? [postmaster.id.pid]).toContain(postmaster.id.pid);
    const status = await readFile(`/proc/${postmaster.id.pid}/status`, 'utf8');
    expect(status).toContain(`Uid:\t${instance.user?.uid ?? process.getuid?.()}\t`);
    await untilReady(instance);

    const sql = instance.connect();
    const shown = await sql.query<{ name: string; setting: string }>(
      "SELECT name, setting FROM pg_settings WHERE name IN ('work_mem', 'wal_level', 'data_checksums', 'max_wal_senders', 'server_encoding') ORDER BY name",
    );
    expect(Object.fromEntries(shown.map(({ name, setting }) => [name, setting]))).toEqual({
      data_checksums: 'on', max_wal_senders: '16', server_encoding: 'UTF8', wal_level: 'replica', work_mem: '5120',
    });
    await expect(sql.query('SELECT 1/0')).rejects.toMatchObject({ code: '22012' });
    await expect(sql.query('SELECT pg_sleep(60)', [], { timeoutMs: 50 })).rejects.toMatchObject({ code: 'timed-out' });
    expect(await sql.query('SELECT $1::int + 1 AS n', [41])).toEqual([{ n: 42 }]);

    const smart = stopPostgres(postmaster, 'smart', 200);
    expect(await smart).toBe(false);
    expect(await stopPostgres(postmaster, 'fast', 30_000)).toBe(true);
    expect(await postmaster.exited).toEqual({ code: 0, signal: null });
    expect((await readControlFile(instance.dataDir)).state).toBe('shut down');
    expect(await stopPostgres(postmaster, 'fast', 1_000)).toBe(true);
    await expect(sql.query('SELECT 1')).rejects.toThrow(/ECONNREFUSED/);

    const again = await start();
    await untilReady(instance);
    expect(await sql.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await stopPostgres(again, 'immediate', 30_000)).toBe(true);
    expect((await readControlFile(instance.dataDir)).state).toBe('in production');
  });

  test('is adopted after its agent died, its death is noticed, and a kill of a child is seen by its signal', async () => {
    const { engine: { tools: _tools, ...plain }, cgroup, dataDir, port, logFile, user, folder } = instance;
    const options = { engine: plain, dataDir, port, listen: ['127.0.0.1'], socketDir: folder, logFile, user, cgroup: null, cgroupName: cgroup === null ? null : `test-${process.pid}/m${engine.major}` };
    const agent = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'testing/start-and-leave.ts'), JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    agent.stdout.on('data', (chunk: Buffer) => { output += chunk.toString(); });
    expect(await once(agent, 'exit')).toEqual([null, 'SIGKILL']);

    await untilReady(instance);
    const adopted = await adoptPostgres(dataDir);
    expect(adopted?.id.pid).toBe(Number(output));
    expect(adopted?.adopted).toBe(true);
    await instance.connect().query('CREATE TABLE after_the_agent ()');
    expect(await stopPostgres(adopted!, 'fast', 30_000)).toBe(true);
    expect(await adopted!.exited).toEqual({ code: null, signal: null });
    expect(await adoptPostgres(dataDir)).toBeNull();

    const own = await start();
    process.kill(own.id.pid, 'SIGKILL');
    expect(await own.exited).toEqual({ code: null, signal: 'SIGKILL' });
    expect(await adoptPostgres(dataDir)).toBeNull();
  });

  test('a pid file that names another program is not believed', async () => {
    const lines = [String(process.pid), instance.dataDir, '0', '5432', '', '', '', 'ready'];
    await writeFile(join(instance.dataDir, 'postmaster.pid'), lines.join('\n'));
    expect(await adoptPostgres(instance.dataDir)).toBeNull();
    await rm(join(instance.dataDir, 'postmaster.pid'));
  });

  test('says what hinders a start', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => { taken.listen(instance.port, '127.0.0.1', resolve); });
    try {
      await expect(start()).rejects.toMatchObject({ code: 'port-in-use', message: expect.stringContaining(String(instance.port)) });
    } finally {
      await new Promise((resolve) => { taken.close(resolve); });
    }
    await expect(start({ shared_buffers: '900TB' })).rejects.toMatchObject({ code: expect.stringMatching(/shared-memory|setting-refused/) });
    await expect(start({ no_such_setting: '1' })).rejects.toMatchObject({ code: 'setting-refused', message: expect.stringContaining('no_such_setting') });
    await expect(start({ shared_preload_libraries: 'no_such_library' })).rejects.toMatchObject({ code: 'engine-failed', message: expect.stringContaining('no_such_library') });
    await writeFile(join(instance.dataDir, 'PG_VERSION'), '14\n');
    await expect(start()).rejects.toMatchObject({ code: 'postgres-failed', message: expect.stringContaining('14') });
    await writeFile(join(instance.dataDir, 'PG_VERSION'), `${engine.major}\n`);
    const first = await start();
    await expect(instance.start({ port: '1' })).rejects.toMatchObject({ code: 'port-in-use' });
    await expect(startPostgres({ ...instance, port: instance.port + 1, listen: [], socketDir: instance.folder })).rejects.toMatchObject({ code: 'locked', message: expect.stringContaining(String(first.id.pid)) });
    expect(isAlive(first.id)).toBe(true);
  });

  test.skipIf(process.getuid?.() !== 0)('a data directory of another owner is refused', async () => {
    await chown(instance.dataDir, 0, 0);
    await expect(start()).rejects.toMatchObject({ code: 'permission', hint: expect.stringContaining('chown') });
    await chown(instance.dataDir, instance.user!.uid, instance.user!.gid);
  });

  test('the control file says what pg_controldata says', async () => {
    const postmaster = await start();
    await untilReady(instance);
    const sql = instance.connect();
    const [server] = await sql.query<{ system_identifier: string; redo_lsn: string; timeline_id: number; checkpoint_lsn: string; pg_control_version: number; catalog_version_no: number; full_page_writes: boolean; next_oid: string }>(
      'SELECT s.system_identifier::text, s.pg_control_version, s.catalog_version_no, c.redo_lsn, c.timeline_id, c.checkpoint_lsn, c.full_page_writes, c.next_oid::text FROM pg_control_system() s, pg_control_checkpoint() c',
    );
    const control = await readControlFile(instance.dataDir);
    expect(control).toMatchObject({
      systemIdentifier: server!.system_identifier, pgControlVersion: server!.pg_control_version, catalogVersion: server!.catalog_version_no,
      checkpoint: server!.checkpoint_lsn, redo: server!.redo_lsn, timeline: server!.timeline_id, fullPageWrites: server!.full_page_writes,
      nextOid: Number(server!.next_oid), state: 'in production', walLevel: 'replica', minRecoveryPoint: '0/0', dataChecksumVersion: 1,
      blockSize: 8192, walSegmentSize: 16 * 1024 * 1024,
    });
    expect(control.limits).toMatchObject({ maxConnections: 30, maxWalSenders: 16 });
    expect(await stopPostgres(postmaster, 'fast', 30_000)).toBe(true);
    if (!engine.tools.has('pg_controldata')) return;

    const after = await readControlFile(instance.dataDir);
    const { stdout } = await run(join(engine.bin, 'pg_controldata'), [instance.dataDir], { env: { LC_ALL: 'C', TZ: 'UTC' } });
    const says = new Map(stdout.trim().split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
    expect({
      'pg_control version number': String(after.pgControlVersion),
      'Catalog version number': String(after.catalogVersion),
      'Database system identifier': after.systemIdentifier,
      'Database cluster state': after.state,
      'Latest checkpoint location': after.checkpoint,
      "Latest checkpoint's REDO location": after.redo,
      "Latest checkpoint's TimeLineID": String(after.timeline),
      "Latest checkpoint's PrevTimeLineID": String(after.prevTimeline),
      "Latest checkpoint's full_page_writes": after.fullPageWrites ? 'on' : 'off',
      "Latest checkpoint's NextXID": `0:${after.nextXid}`,
      "Latest checkpoint's NextOID": String(after.nextOid),
      "Latest checkpoint's NextMultiXactId": String(after.nextMulti),
      "Latest checkpoint's oldestXID": String(after.oldestXid),
      "Latest checkpoint's oldestActiveXID": String(after.oldestActiveXid),
      'Minimum recovery ending location': after.minRecoveryPoint,
      "Min recovery ending loc's timeline": String(after.minRecoveryTimeline),
      'Backup start location': after.backupStart,
      'Backup end location': after.backupEnd,
      'End-of-backup record required': after.backupEndRequired ? 'yes' : 'no',
      'wal_level setting': after.walLevel,
      'wal_log_hints setting': after.walLogHints ? 'on' : 'off',
      'max_connections setting': String(after.limits.maxConnections),
      'max_worker_processes setting': String(after.limits.maxWorkerProcesses),
      'max_wal_senders setting': String(after.limits.maxWalSenders),
      'max_prepared_xacts setting': String(after.limits.maxPreparedTransactions),
      'max_locks_per_xact setting': String(after.limits.maxLocksPerTransaction),
      'Database block size': String(after.blockSize),
      'Bytes per WAL segment': String(after.walSegmentSize),
      'Data page checksum version': String(after.dataChecksumVersion),
      'pg_control last modified': new Date(after.time).getTime(),
      'Time of latest checkpoint': new Date(after.checkpointTime).getTime(),
    }).toEqual({
      ...Object.fromEntries([...says].filter(([name]) => COMPARED.has(name))),
      'pg_control last modified': Date.parse(`${says.get('pg_control last modified')} UTC`),
      'Time of latest checkpoint': Date.parse(`${says.get('Time of latest checkpoint')} UTC`),
    });
  });
});

const COMPARED = new Set([
  'pg_control version number', 'Catalog version number', 'Database system identifier', 'Database cluster state', 'Latest checkpoint location',
  "Latest checkpoint's REDO location", "Latest checkpoint's TimeLineID", "Latest checkpoint's PrevTimeLineID", "Latest checkpoint's full_page_writes",
  "Latest checkpoint's NextXID", "Latest checkpoint's NextOID", "Latest checkpoint's NextMultiXactId", "Latest checkpoint's oldestXID",
  "Latest checkpoint's oldestActiveXID", 'Minimum recovery ending location', "Min recovery ending loc's timeline", 'Backup start location',
  'Backup end location', 'End-of-backup record required', 'wal_level setting', 'wal_log_hints setting', 'max_connections setting',
  'max_worker_processes setting', 'max_wal_senders setting', 'max_prepared_xacts setting', 'max_locks_per_xact setting', 'Database block size',
  'Bytes per WAL segment', 'Data page checksum version',
]);
