/** Who confirms the commits of one primary in the commit bench: nobody, a logger, a standby, pg_receivewal. One at a time. */
import type { ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { withDescendants } from '../../src/engine/proc.ts';
import { sleep } from '../../src/lifecycle.ts';
import { TestLogger, upstream } from '../../src/wal/testing/logger.ts';
import { TestPostgres, background, makeDir } from '../../src/wal/testing/postgres.ts';

export interface Receiver {
  name: 'asynchronous' | 'logger' | 'standby' | 'pg_receivewal';
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Its processes while it runs. */
  pids(): number[];
  destroy(): Promise<void>;
}

const CAUGHT_UP_MS = 120_000;
const nothing = (): Promise<void> => Promise.resolve();

export const asynchronous: Receiver = { name: 'asynchronous', start: nothing, stop: nothing, pids: () => [], destroy: nothing };

/** pgorbit's logger, in a process of its own as an agent starts it. */
export async function loggerOf(primary: TestPostgres): Promise<Receiver> {
  const one = await TestLogger.create();
  await one.end('SIGTERM');
  let pid = 0;
  return {
    name: 'logger',
    start: async () => {
      await one.start();
      ({ pid } = await one.client.status());
      await one.client.follow(upstream(primary, 1, 'logger'));
    },
    stop: async () => void (await one.end('SIGTERM')),
    pids: () => [pid],
    destroy: () => one.destroy(),
  };
}

/** A copy of the primary that streams. The primary is stopped meanwhile, and runs again when this returns. */
export async function standbyOf(primary: TestPostgres): Promise<Receiver> {
  await primary.stop();
  const one = await primary.copyAsStandby({ primary_conninfo: `host=127.0.0.1 port=${primary.port} user=postgres application_name=standby`, synchronous_standby_names: '' });
  await one.stop();
  await primary.start();
  return { name: 'standby', start: () => one.start(), stop: () => one.stop(), pids: () => withDescendants([one.pid!]), destroy: () => one.destroy() };
}

/** pg_receivewal of the primary's own version, which acknowledges what it has flushed. */
export function receivewalOf(primary: TestPostgres): Receiver {
  const dir = makeDir();
  let child: ChildProcess | null = null;
  const stop = async (): Promise<void> => {
    const running = child;
    child = null;
    if (running === null || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGINT');
    await ended;
  };
  return {
    name: 'pg_receivewal',
    start: async () => {
      child = background('setsid', [join(primary.bin, 'pg_receivewal'), '-D', dir, '-h', '127.0.0.1', '-p', String(primary.port), '-U', 'postgres', '--synchronous']);
    },
    stop,
    pids: () => [child!.pid!],
    destroy: async () => {
      await stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Has the primary wait for `receiver`, and returns when that one has everything and does nothing any more. */
export async function waitFor(primary: TestPostgres, receiver: Receiver): Promise<void> {
  if (receiver !== asynchronous) {
    const end = performance.now() + CAUGHT_UP_MS;
    // A logger and pg_receivewal replay nothing: they say so by no position.
    const level = `select count(*) from pg_stat_replication where application_name = '${receiver.name}' and flush_lsn >= pg_current_wal_flush_lsn() and coalesce(nullif(replay_lsn, '0/0'), flush_lsn) >= flush_lsn`;
    while ((await primary.value(level)) !== '1') {
      if (performance.now() > end) throw new Error(`${receiver.name} did not catch up in ${CAUGHT_UP_MS} ms`);
      await sleep(100);
    }
  }
  await setNames(primary, receiver === asynchronous ? '' : `ANY 1 (${receiver.name})`);
}

export async function setNames(primary: TestPostgres, names: string): Promise<void> {
  await primary.value(`alter system set synchronous_standby_names = '${names}'`);
  await primary.value('select pg_reload_conf()');
  while ((await primary.value('show synchronous_standby_names')) !== names) await sleep(20);
}
