/** For tests: a repository in a scratch folder, and backups of throw-away servers into it. */
import { appendFileSync, closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { postgresOsUser } from '../../engine/osuser.ts';
import { VERSIONS, command, freePort, makeDir, type TestPostgres } from '../../wal/testing/postgres.ts';
import { openRepository } from '../repository.ts';
import type { TakeOptions } from '../take.ts';

export const NEVER = new AbortController().signal;

/** A folder that `cleanup` deletes. */
export function scratch(cleanup: (() => unknown)[]): string {
  const dir = makeDir();
  cleanup.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Options for a backup of `server` to a repository of its own, unless `more` says otherwise. */
export async function takeOptions(server: TestPostgres, cleanup: (() => unknown)[], more: Partial<TakeOptions> = {}): Promise<TakeOptions> {
  return {
    store: more.store ?? (await openRepository(join(scratch(cleanup), 'repository'), { make: true })),
    cluster: 'shop', group: 'main', source: sourceOf(server), owner: await postgresOsUser(), checkpoint: 'fast', incremental: null, rate: null, settings: { work_mem: '8MB' },
    serverNow: async () => new Date(await server.value("select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.USZ')")),
    onProgress: () => {}, signal: NEVER, ...more,
  };
}

export function sourceOf(server: TestPostgres, member = 'n1'): TakeOptions['source'] {
  return { member, host: '127.0.0.1', port: server.port, user: 'postgres', password: '' };
}

/** Starts a server on a copy of `data` until the end of the test. Resolves to its port. */
export async function startCopy(version: number, data: string, cleanup: (() => unknown)[], standbyOf: number | null = null): Promise<{ port: number; data: string }> {
  const dir = scratch(cleanup);
  const copy = join(dir, 'data');
  await command('cp', ['-a', data, copy]);
  const port = await freePort();
  const settings = [`port = ${port}`, `unix_socket_directories = '${dir}'`, ...(standbyOf === null ? [] : [`primary_conninfo = 'host=127.0.0.1 port=${standbyOf} user=postgres'`])];
  appendFileSync(join(copy, 'postgresql.auto.conf'), `${settings.join('\n')}\n`);
  if (standbyOf !== null) await command('touch', [join(copy, 'standby.signal')]);
  const pgCtl = join(VERSIONS[version]!, 'pg_ctl');
  cleanup.push(() => command(pgCtl, ['-D', copy, '-m', 'immediate', '-w', 'stop']).catch(() => {}));
  await command(pgCtl, ['-D', copy, '-l', join(dir, 'log'), '-w', '-t', '60', 'start']);
  return { port, data: copy };
}

/** Changes one bit of the byte at `at`. */
export function flip(file: string, at: number): void {
  const fd = openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, at);
  byte[0]! ^= 0x10;
  writeSync(fd, byte, 0, 1, at);
  closeSync(fd);
}

/** Rows of a server on this machine that trusts us. */
export async function query(port: number, sql: string): Promise<unknown[][]> {
  const client = new Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' });
  await client.connect();
  try {
    return (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;
  } finally {
    await client.end();
  }
}
