/** The way without clones: pg_basebackup onto the same volume, then a standby on the copy until it streams. */
import { chown, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Account } from '../../src/group/model.ts';
import { findPort } from '../../src/agent/ports.ts';
import { postgresOsUser } from '../../src/engine/osuser.ts';
import { sleep } from '../../src/lifecycle.ts';
import { cleanUpWith } from '../../test/support/cleanup.ts';
import { connectTo, drop, type Target } from '../../test/support/connect.ts';
import { mustRun, startProgram } from '../../test/support/program.ts';
import { tool } from './pgbench.ts';

export interface BaseBackup {
  /** ms: the copy (with its fast checkpoint), and from there to streaming. */
  copyMs: number;
  startMs: number;
  /** Seconds of processor time of pg_basebackup, user and system. */
  copyCpu: number;
  /** Ends the standby and deletes the copy. */
  remove(): Promise<void>;
}

const STREAMING_WITHIN_MS = 300_000;
/** pgorbit's own ports begin lower. */
const FIRST_PORT = 6500;

/** @param upstream is a superuser's way to the primary; the standby accepts the same. */
export async function baseBackup(volume: string, upstream: Target, replication: Account): Promise<BaseBackup> {
  const folder = join(volume, 'bench-basebackup');
  const dataDir = join(folder, 'data');
  const owner = await postgresOsUser();
  const asOwner = owner === null ? {} : { uid: owner.uid, gid: owner.gid };
  await mkdir(folder, { mode: 0o700 });
  if (owner !== null) await chown(folder, owner.uid, owner.gid);
  let stop = async (): Promise<void> => undefined;
  const remove = cleanUpWith(async () => {
    await stop();
    await rm(folder, { recursive: true, force: true });
  });
  try {
    const copy = await mustRun(
      'bash',
      ['-c', 'TIMEFORMAT="cpu %U %S"; time "$@"', 'bash', tool('pg_basebackup'), '-X', 'stream', '-c', 'fast', '-R', '-D', dataDir, '-h', upstream.host, '-p', String(upstream.port), '-U', replication.user],
      { env: { PATH: process.env['PATH'], LC_ALL: 'C', PGPASSWORD: replication.password }, ...asOwner },
    );
    const [, user, system] = /^cpu ([\d.]+) ([\d.]+)$/m.exec(copy.stderr) ?? [];
    const started = performance.now();
    const port = await findPort({ address: '127.0.0.1', from: FIRST_PORT, except: [], exactly: false });
    if (port === null) throw new Error('no port is free');
    const settings = { port, listen_addresses: '127.0.0.1', unix_socket_directories: folder, cluster_name: 'basebackup', synchronous_standby_names: '' };
    const server = startProgram(tool('postgres'), ['-D', dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])], { env: { PATH: process.env['PATH'] }, ...asOwner });
    stop = async () => {
      await server.stop('SIGQUIT');
    };
    let dead = '';
    void server.ended.then(({ code, stderr }) => (dead = `it ended with ${code}: ${stderr.trim().split('\n').slice(-5).join(' / ')}`));
    await streams({ ...upstream, port }, () => dead);
    return { copyMs: copy.ms, startMs: performance.now() - started, copyCpu: Number(user) + Number(system), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Returns when the server's WAL receiver streams. */
async function streams(target: Target, dead: () => string): Promise<void> {
  const end = performance.now() + STREAMING_WITHIN_MS;
  for (;;) {
    try {
      const client = await connectTo(target);
      try {
        for (;;) {
          const { rows } = await client.query("select 1 from pg_stat_wal_receiver where status = 'streaming'");
          if (rows.length > 0) return;
          if (performance.now() > end) break;
          await sleep(20);
        }
      } finally {
        drop(client);
      }
    } catch (error) {
      // It starts still.
      if (performance.now() > end || dead() !== '') throw new Error(`the standby of the base backup does not stream: ${dead() || (error as Error).message}`, { cause: error });
    }
    await sleep(20);
  }
}
