import { appendFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { parseLsn } from '../../wal/lsn.ts';
import { TestPostgres, suiteVersions } from '../../wal/testing/postgres.ts';
import { readControlFile } from '../control.ts';
import { caughtUp, conninfo, contents, follow, makePair, promote, rewindTo } from './testing/pair.ts';
import { prepare, work } from './testing/workload.ts';

const servers: TestPostgres[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.destroy();
});

async function started(version: number, settings: Record<string, string | number> = {}): Promise<{ old: TestPostgres; next: TestPostgres }> {
  const pair = await makePair(version, servers, settings);
  const client = await pair.old.connect();
  await prepare(client);
  await client.end();
  await work(pair.old, 21, 10, { checkpoints: true });
  return pair;
}

async function expectSame(a: TestPostgres, b: TestPostgres): Promise<void> {
  expect(await contents(a)).toEqual(await contents(b));
}

describe.each(suiteVersions(18))('PostgreSQL %i, a member', (version) => {
  it('that did not diverge can follow as it is', async () => {
    const { old, next } = await started(version);
    await caughtUp(old, next);
    await old.stop(); // waits until the standby has it all
    await promote(next);
    await work(next, 22, 5, { checkpoints: false });
    const written: number[] = [];
    const result = await rewindTo(old, next, { beforeWriting: async () => void written.push(1) });
    expect([result.how, result.from, result.to, written]).toEqual(['nothing-to-do', 1, 2, []]);
    await follow(old, next);
    await expectSame(old, next);
  });

  it('that has the beginning of a record up to a segment\'s end, where the others have none of it, is cut there', async () => {
    const { old, next } = await started(version);
    await caughtUp(old, next);
    await next.stop();
    const segment = await old.value('select pg_walfile_name(pg_current_wal_lsn())');
    // Longer than a segment; then the disk is full, say.
    await old.value(`select length(pg_logical_emit_message(false, 'long', repeat('x', 20000000))::text)`);
    await old.value('create table beyond ()');
    await old.kill();
    for (const name of readdirSync(old.walDir)) if (/^[0-9A-F]{24}$/.test(name) && name > segment) rmSync(join(old.walDir, name));
    next.configure({ primary_conninfo: '' });
    await next.start();
    await promote(next);
    await work(next, 24, 5, { checkpoints: false });
    expect(await rewindTo(old, next)).toMatchObject({ how: 'cut', from: 1, to: 2 });
    expect((await rewindTo(old, next)).how).toBe('nothing-to-do');
    await follow(old, next);
    await expectSame(old, next);
  });

  it.each([{ wal: 'kept' }, { wal: 'gone' }])('goes back behind its checkpoint, or has the new primary write one, where that one\'s disk lags behind: WAL $wal', async ({ wal }) => {
    const sizes = wal === 'kept' ? {} : { wal_keep_size: 0, wal_recycle: 'off', min_wal_size: '32MB', max_wal_size: '64MB' };
    const { old, next } = await started(version, { ...sizes, bgwriter_lru_maxpages: 0 });
    for (let round = 0; round < 3; round++) {
      await work(old, 23 + round, 4, { checkpoints: false });
      await old.value('select pg_switch_wal()');
      await caughtUp(old, next);
      await old.value('checkpoint');
    }
    // The standby has these updates in memory only; the old primary's checkpoint is after them.
    await old.value('create table lagging as select g as id, 0 as n from generate_series(1, 500) g');
    await old.value('update lagging set n = 1');
    await old.value('checkpoint');
    await caughtUp(old, next);
    const before = await readControlFile(next.data);
    const { checkpoint } = await readControlFile(old.data);
    expect(parseLsn(before.redo)).toBeLessThan(parseLsn(checkpoint) - 0x200_0000n);
    await promote(next);
    await old.value('update lagging set n = 2');
    await work(old, 31, 4, { checkpoints: false });
    await work(next, 32, 1, { checkpoints: false });
    await old.kill();
    expect((await readControlFile(next.data)).redo).toBe(before.redo);
    expect((await rewindTo(old, next)).how).toBe('rewound');
    const { redo } = await readControlFile(next.data);
    await follow(old, next);
    await expectSame(old, next);
    expect(await old.value('select sum(n) from lagging')).toBe('500');
    if (wal === 'kept') expect(redo).toBe(before.redo);
    else expect(parseLsn(redo)).toBeGreaterThan(parseLsn(checkpoint));
  });

  it('that was a standby ahead of the promoted one, and crashed, begins at its own restartpoint', async () => {
    const { old, next } = await started(version);
    await caughtUp(old, next);
    await next.stop();
    const ahead = await next.copyAsStandby({ primary_conninfo: conninfo(old) });
    servers.push(ahead);
    await next.start();
    await caughtUp(old, next);
    await caughtUp(old, ahead);
    await ahead.value('checkpoint'); // a restartpoint; the checkpoints that follow are only replayed
    await work(old, 41, 6, { checkpoints: true });
    await old.value('checkpoint');
    await work(old, 42, 6, { checkpoints: false });
    await caughtUp(old, next);
    appendFileSync(join(next.data, 'postgresql.conf'), `primary_conninfo = ''\n`);
    await next.value('select pg_reload_conf()');
    while ((await next.value('select count(*) from pg_stat_wal_receiver')) !== '0') await pause(20);
    await work(old, 43, 10, { checkpoints: true });
    await caughtUp(old, ahead);
    await old.kill();
    await ahead.kill();
    await promote(next);
    await work(next, 44, 10, { checkpoints: true });
    for (const member of [ahead, old]) {
      expect(await rewindTo(member, next)).toMatchObject({ how: 'rewound', from: 1, to: 2 });
      await follow(member, next);
      await expectSame(member, next);
    }
  });

  it('that promoted itself goes back to a primary of an older timeline, and of another newer one', async () => {
    const { old, next } = await started(version);
    await caughtUp(old, next);
    await promote(next);
    await work(next, 51, 8, { checkpoints: true });
    await work(old, 52, 8, { checkpoints: true });
    await next.kill();
    expect(await rewindTo(next, old)).toMatchObject({ how: 'rewound', from: 2, to: 1 });
    await follow(next, old);
    await expectSame(next, old);
    // Its timeline 2 now parts elsewhere than the first one did, which left nothing behind.
    await promote(next);
    await work(next, 53, 8, { checkpoints: true });
    await work(old, 54, 8, { checkpoints: true });
    await old.kill();
    expect(await rewindTo(old, next)).toMatchObject({ how: 'rewound', from: 1, to: 2 });
    await follow(old, next);
    await expectSame(old, next);
  });
});
