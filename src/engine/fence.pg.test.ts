import { rm } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { sleep } from '../lifecycle.ts';
import { fence, postgresProcessesIn } from './fence.ts';
import type { Engine } from './find.ts';
import { identify, isAlive } from './proc.ts';
import type { Postmaster } from './postmaster.ts';
import { isReady, SqlSession } from './sql.ts';
import { makeInstance, PASSWORD, scratchFolder, testEngines, type Instance } from './testing/scratch.ts';

const home = await scratchFolder();
const engines = await testEngines(home);
afterAll(() => rm(home, { recursive: true, force: true }));

const cases = engines.flatMap((engine) => [true, false].map((cgroup) => [`${engine.version}, ${cgroup ? 'cgroup' : 'no cgroup'}`, engine, cgroup] as const));

describe.each(cases)('PostgreSQL %s', (_, engine: Engine, withCgroup) => {
  let instance: Instance;
  let postmaster: Postmaster | undefined;
  afterEach(async () => {
    postmaster?.release();
    postmaster = undefined;
    await instance.destroy();
  });
  const target = (): { host: string; port: number; user: string; password: string } => ({ host: '127.0.0.1', port: instance.port, user: 'admin', password: PASSWORD });
  const begin = async (): Promise<Postmaster> => {
    instance = await makeInstance(home, `f${engine.major}`, engine, { cgroup: withCgroup });
    postmaster = await instance.start();
    while (!(await isReady(target()))) await sleep(20);
    return postmaster;
  };

  test('no commit is acknowledged after the fence, and none that was is lost', async () => {
    const running = await begin();
    const admin = instance.connect();
    await admin.query('CREATE TABLE t (n int)');
    const seen = { fenced: false, acknowledged: 0, late: 0 };
    const writers = Array.from({ length: 4 }, async () => {
      const sql = new SqlSession(target());
      try {
        for (;;) {
          await sql.query('INSERT INTO t VALUES (1)');
          if (seen.fenced) seen.late += 1;
          else seen.acknowledged += 1;
        }
      } catch {
        // Cut off, as it should be.
      } finally {
        await sql.close();
      }
    });
    while (seen.acknowledged < 200) await sleep(5);
    const result = await fence(instance.dataDir, instance.cgroup);
    expect(postgresProcessesIn(instance.dataDir)).toEqual([]);
    // Let what the kernel had delivered by then be read; what comes after that would be new.
    await new Promise((settled) => { setImmediate(settled); });
    await new Promise((settled) => { setImmediate(settled); });
    seen.fenced = true;
    await Promise.all(writers);
    expect(seen.late).toBe(0);
    expect(result.killed).toBeGreaterThan(5);
    expect(result.how).toBe(instance.cgroup === null ? 'processes' : 'cgroup');
    expect(isAlive(running.id)).toBe(false);
    expect(await running.exited).toEqual({ code: null, signal: 'SIGKILL' });
    expect(await fence(instance.dataDir, instance.cgroup)).toEqual({ killed: 0, how: 'nothing-ran' });

    running.release();
    postmaster = await instance.start();
    while (!(await isReady(target()))) await sleep(20);
    const [row] = await instance.connect().query<{ n: number }>('SELECT count(*)::int AS n FROM t');
    expect(row!.n).toBeGreaterThanOrEqual(seen.acknowledged);
  });

  test('backends that outlive their postmaster are killed, a shell in the data directory is not', async () => {
    const running = await begin();
    const sql = new SqlSession(target());
    // pg_sleep would notice the postmaster's death; a loop that never waits does not.
    const busy = sql.query('DO $$ BEGIN LOOP END LOOP; END $$', [], { timeoutMs: 60_000 }).catch((error: unknown) => error);
    const [backend] = await (async () => {
      for (;;) {
        const rows = await instance.connect().query<{ pid: number }>("SELECT pid FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'");
        if (rows.length > 0) return rows;
      }
    })();
    const id = identify(backend!.pid)!;
    const shell = spawn('sleep', ['600'], { cwd: instance.dataDir, stdio: 'ignore' });
    try {
      process.kill(running.id.pid, 'SIGKILL');
      await running.exited;
      expect(isAlive(id)).toBe(true);
      const result = await fence(instance.dataDir, instance.cgroup);
      expect(result.killed).toBeGreaterThan(0);
      expect(isAlive(id)).toBe(false);
      expect(identify(shell.pid!)).not.toBeNull();
      expect(await busy).toBeInstanceOf(Error);
    } finally {
      shell.kill('SIGKILL');
      await sql.close();
    }
  });

  test('where nothing ran, nothing is killed', async () => {
    instance = await makeInstance(home, `f${engine.major}`, engine, { cgroup: withCgroup });
    expect(await fence(instance.dataDir, instance.cgroup)).toEqual({ killed: 0, how: 'nothing-ran' });
  });
});
