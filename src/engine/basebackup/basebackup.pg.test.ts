import { execFileSync } from 'node:child_process';
import { appendFileSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PgorbitError } from '../../errors.ts';
import { startLoad } from '../../wal/testing/load.ts';
import { TestPostgres, VERSIONS, command, freePort, makeDir } from '../../wal/testing/postgres.ts';
import { type OsUser, postgresOsUser } from '../osuser.ts';
import { type BaseBackupOptions, baseBackup } from './basebackup.ts';
import { verifyBackup } from './verify.ts';

const PASSWORD = "it's secret";
const VERIFY = '/usr/lib/postgresql/15/bin/pg_verifybackup';

let owner: OsUser | null;
const cleanup: (() => unknown)[] = [];
beforeAll(async () => {
  owner = await postgresOsUser();
});
afterEach(async () => {
  for (const one of cleanup.splice(0).toReversed()) await one();
});

function scratch(): string {
  const dir = makeDir();
  cleanup.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function options(port: number, more: Partial<BaseBackupOptions> = {}): BaseBackupOptions {
  return {
    source: { host: '127.0.0.1', port, user: 'repl', password: PASSWORD, applicationName: 'copy' },
    dir: join(scratch(), 'data'), owner, checkpoint: 'fast', rate: null, wal: true, label: "n2's copy", onProgress: () => {}, signal: new AbortController().signal, ...more,
  };
}

/** Starts the server in `data` until the end of the test. Resolves to its port. */
async function startCopy(version: number, data: string): Promise<number> {
  const port = await freePort();
  const pgCtl = join(VERSIONS[version]!, 'pg_ctl');
  cleanup.push(() => command(pgCtl, ['-D', data, '-m', 'immediate', '-w', 'stop']).catch(() => {}));
  await command(pgCtl, ['-D', data, '-l', join(data, '..', 'copy.log'), '-o', `-c port=${port} -c unix_socket_directories=${join(data, '..')}`, '-w', '-t', '60', 'start']);
  return port;
}

async function query(port: number, sql: string): Promise<unknown[][]> {
  const client = new Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' });
  await client.connect();
  try {
    return (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;
  } finally {
    await client.end();
  }
}

function openFilesBelow(dir: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(dir) ? [path] : [];
    } catch {
      return []; // the one that listed them
    }
  });
}

/** Begins a copy that would take long, runs `meanwhile` when data flows, and resolves to the error that it ends with. */
async function interrupted(copying: BaseBackupOptions, meanwhile: () => unknown): Promise<unknown> {
  let done: unknown = null;
  const onProgress: BaseBackupOptions['onProgress'] = ({ step }) => {
    if (step === 'copy') done ??= meanwhile();
  };
  const error: unknown = await baseBackup({ ...copying, rate: 1024 * 1024, onProgress }).then(() => 'no error', (e: unknown) => e);
  await done;
  expect(done).not.toBe(null);
  expect(openFilesBelow(copying.dir)).toEqual([]);
  expect(existsSync(join(copying.dir, 'backup_manifest'))).toBe(false);
  return error;
}

describe.each(Object.keys(VERSIONS).map(Number))('PostgreSQL %i', (version) => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await TestPostgres.create(version, { segmentMegabytes: 1, settings: { password_encryption: 'scram-sha-256', checkpoint_timeout: '1h', hot_standby: 'on' } });
    await server.value(`create role repl login replication password '${PASSWORD.replace("'", "''")}'`);
    const hba = join(server.data, 'pg_hba.conf');
    writeFileSync(hba, `host replication repl 127.0.0.1/32 scram-sha-256\n${readFileSync(hba, 'utf8')}`);
    await server.value('select pg_reload_conf()');
    await server.value("create table big as select g, repeat(md5(g::text), 10) t from generate_series(1, 60000) g");
  });
  afterAll(() => server.destroy());

  it('a copy made while others write starts by itself and has all that was committed before it', async () => {
    const load = await startLoad(server, 2);
    while (load.acknowledged() < 50) await new Promise((resolve) => setTimeout(resolve, 20));
    const before = load.numbers();
    const steps: string[] = [];
    const copying = options(server.port, {
      onProgress: ({ done, total, step }) => {
        expect(done).toBeLessThanOrEqual(total);
        if (steps.at(-1) !== step) steps.push(step);
      },
    });
    const result = await baseBackup(copying);
    load.stop();
    await load.ended;

    expect(steps).toEqual(['checkpoint', 'copy', 'sync']);
    expect(result).toMatchObject({ timeline: 1, startLsn: expect.stringMatching(/^0\/[0-9A-F]+$/), endLsn: expect.stringMatching(/^0\/[0-9A-F]+$/) });
    expect(result.bytes).toBeGreaterThan(20_000_000);
    expect(await verifyBackup(copying.dir)).toEqual([]);
    if (version === 15) expect(await command(VERIFY, [copying.dir])).toContain('successfully verified');
    for (const file of ['PG_VERSION', 'base', 'base/1/1259', 'backup_manifest']) {
      const { mode, uid } = statSync(join(copying.dir, file));
      expect([file, mode & 0o777, uid]).toEqual([file, file === 'base' ? 0o700 : 0o600, owner?.uid ?? process.getuid?.()]);
    }
    expect(readFileSync(join(copying.dir, 'backup_label'), 'utf8')).toContain("LABEL: n2's copy");
    expect(await server.value('select count(*) from pg_replication_slots')).toBe('0');

    const port = await startCopy(version, copying.dir);
    const [[missing]] = (await query(port, `select count(*) from unnest(array[${before.join()}]) n where not exists (select from load where number = n)`)) as [[string]];
    expect(missing).toBe('0');
    expect(await query(port, 'select count(*), sum(length(t)) from big')).toEqual([['60000', '19200000']]);
  });

  it('a standby is copied too', async () => {
    const first = options(server.port);
    await baseBackup(first);
    writeFileSync(join(first.dir, 'standby.signal'), '');
    if (owner) chownSync(join(first.dir, 'standby.signal'), owner.uid, owner.gid);
    const standby = await startCopy(version, first.dir);
    const second = options(standby);
    await baseBackup(second);
    expect(await verifyBackup(second.dir)).toEqual([]);
    rmSync(join(second.dir, 'standby.signal'));
    expect(await query(await startCopy(version, second.dir), 'select count(*) from big')).toEqual([['60000']]);
  });

  it('what happened to a copy is found, and which file it happened to', async () => {
    const copying = options(server.port, { wal: false });
    await baseBackup(copying);
    expect(readdirSync(join(copying.dir, 'pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name))).toEqual([]);
    const [[path]] = (await query(server.port, "select pg_relation_filepath('big')")) as [[string]];
    const bytes = readFileSync(join(copying.dir, path));
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(join(copying.dir, path), bytes);
    rmSync(join(copying.dir, 'global/pg_filenode.map'));
    appendFileSync(join(copying.dir, 'PG_VERSION'), 'x');
    writeFileSync(join(copying.dir, 'base/stray'), '');
    writeFileSync(join(copying.dir, 'standby.signal'), '');
    writeFileSync(join(copying.dir, 'pg_wal/anything'), '');
    appendFileSync(join(copying.dir, 'postgresql.auto.conf'), '# changed\n');
    const problems = await verifyBackup(copying.dir);
    expect(problems.map(({ kind, path: where }) => `${kind} ${where}`).sort()).toEqual([`checksum ${path}`, 'extra base/stray', 'missing global/pg_filenode.map', 'size PG_VERSION']);
    for (const problem of problems) expect(problem.message).toContain(problem.path);

    appendFileSync(join(copying.dir, 'backup_manifest'), 'x');
    expect(await verifyBackup(copying.dir)).toMatchObject([{ kind: 'manifest', path: 'backup_manifest' }]);
  });

  it('a lost connection, a cancelled copy: one clear error, nothing left open', async () => {
    const lost = await interrupted(options(server.port), () => server.value("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'walsender'"));
    expect(lost).toBeInstanceOf(PgorbitError);
    expect((lost as Error).message).toMatch(/127\.0\.0\.1:\d+(: terminating connection| closed the connection)/);

    const controller = new AbortController();
    const cancelled = await interrupted(options(server.port, { signal: controller.signal }), () => controller.abort());
    expect(cancelled).toMatchObject({ code: 'operation-failed', message: `the base backup of 127.0.0.1:${server.port} was cancelled` });

    const reason = new PgorbitError('fenced', 'a newer term began');
    const stopped = new AbortController();
    expect(await interrupted(options(server.port, { signal: stopped.signal }), () => stopped.abort(reason))).toBe(reason);
    await expect(baseBackup(options(server.port, { signal: stopped.signal }))).rejects.toBe(reason);
  });

  it('tablespaces are refused by name before anything is copied', async () => {
    const space = join(scratch(), 'fast');
    mkdirSync(space);
    if (owner) chownSync(space, owner.uid, owner.gid);
    await server.value(`create tablespace fast location '${space}'`);
    try {
      const copying = options(server.port);
      await expect(baseBackup(copying)).rejects.toMatchObject({ code: 'setting-refused', message: expect.stringContaining(space) });
      expect(readdirSync(copying.dir)).toEqual([]);
    } finally {
      await server.value('drop tablespace fast');
    }
  });

  it('a folder that is not empty, a wrong password: refused', async () => {
    const copying = options(server.port);
    mkdirSync(copying.dir);
    writeFileSync(join(copying.dir, 'mine'), '');
    await expect(baseBackup(copying)).rejects.toMatchObject({ code: 'not-ours' });
    expect(readdirSync(copying.dir)).toEqual(['mine']);
    const wrong = options(server.port);
    await expect(baseBackup({ ...wrong, source: { ...wrong.source, password: 'no' } })).rejects.toThrow(/password authentication failed/);
  });

  it.skipIf(process.getuid?.() !== 0)('a full disk is told as such (needs root: mounts a tmpfs)', async () => {
    const mount = mkdtempSync(join(tmpdir(), 'pgorbit-full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', mount]);
    cleanup.push(() => {
      execFileSync('umount', ['-l', mount]);
      rmSync(mount, { recursive: true });
    });
    const copying = options(server.port, { dir: join(mount, 'data') });
    await expect(baseBackup(copying)).rejects.toMatchObject({ code: 'volume-full', message: expect.stringContaining(copying.dir) });
    expect(openFilesBelow(mount)).toEqual([]);
  });

  // Last: it ends the source.
  it('a source that dies is an error that says which', async () => {
    const { port } = server;
    const error = await interrupted(options(port), () => server.kill());
    expect(error).toBeInstanceOf(PgorbitError);
    expect((error as Error).message).toContain(`127.0.0.1:${port}`);
    await expect(baseBackup(options(port))).rejects.toMatchObject({ code: 'host-unreachable' });
  });
});
