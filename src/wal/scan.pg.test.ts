import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { walNames } from './files.ts';
import { type Lsn, formatLsn, parseLsn, parseSegmentName, segmentStart } from './lsn.ts';
import { WAL_PAGE, XLP_FIRST_IS_OVERWRITE_CONTRECORD } from './page.ts';
import { type WalEnd, findWalEnd } from './scan.ts';
import { startLoad } from './testing/load.ts';
import { TestPostgres, VERSIONS, command } from './testing/postgres.ts';

const MB = 1 << 20;
const servers: TestPostgres[] = [];
const made = async (server: Promise<TestPostgres>): Promise<TestPostgres> => {
  servers.push(await server);
  return await server;
};
afterEach(async () => {
  for (const server of servers.splice(0)) await server.destroy();
});

/** Where PostgreSQL itself comes to when it replays a copy of the files. */
async function replayed(server: TestPostgres): Promise<Lsn> {
  const copy = await server.copyAsStandby();
  try {
    let before = '';
    for (;;) {
      const now = await copy.value('select pg_last_wal_replay_lsn()');
      // The startup process waits for more WAL only after it has tried all that is there.
      const waiting = await copy.value(`select count(*) from pg_stat_activity where backend_type = 'startup' and wait_event in ('RecoveryRetrieveRetryInterval', 'RecoveryWalStream')`);
      if (now === before && waiting === '1') return parseLsn(now);
      before = now;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } finally {
    await copy.destroy();
  }
}

const scan = (server: TestPostgres, from: Lsn, segmentSize: number, timeline = 1): Promise<WalEnd> =>
  findWalEnd({ walDir: server.walDir, timeline, from, segmentSize });

/** Where crash recovery would begin: CheckPoint.redo in global/pg_control (catalog/pg_control.h, the same in 15 to 18). */
const redo = (server: TestPostgres): Lsn => readFileSync(join(server.data, 'global/pg_control')).readBigUInt64LE(40);
const huge = (n: number): string => `with m as (select pg_logical_emit_message(false, 'pgorbit', repeat('m', ${40_000_000 + n}))) insert into load select ${n}, '' from m`;

function overwrittenPages(server: TestPostgres): number {
  let count = 0;
  for (const name of readdirSync(server.walDir).filter((one) => parseSegmentName(one, MB) !== null)) {
    const bytes = readFileSync(join(server.walDir, name));
    for (let at = 0; at < bytes.length; at += WAL_PAGE) if (bytes.readUInt16LE(at + 2) & XLP_FIRST_IS_OVERWRITE_CONTRECORD) count += 1;
  }
  return count;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

const RECYCLE = { max_wal_size: '16MB', min_wal_size: '8MB', wal_keep_size: 0, checkpoint_timeout: '30s', checkpoint_completion_target: '0.1' };

describe.each(Object.keys(VERSIONS).map(Number))('PostgreSQL %i killed under load', (version) => {
  it('ends where replay ends, kill after kill, with recycled and missing segments', async () => {
    const server = await made(TestPostgres.create(version, { segmentMegabytes: 1, settings: RECYCLE }));
    let recycled = 0;
    for (let round = 0; round < 5; round++) {
      const load = await startLoad(server, 4, undefined, 1 + round * 1_000_000);
      await until(() => load.acknowledged() > 150 + round * 60);
      if (round % 2 === 0) await server.value('checkpoint');
      await until(() => load.acknowledged() > 300 + round * 70);
      await server.kill();
      await load.ended;
      const from = redo(server);
      const expected = await replayed(server);
      const found = await scan(server, from, MB);
      expect(formatLsn(found.end)).toBe(formatLsn(expected));
      expect(found.laterSegment).toBeNull();
      // Any position that the WAL is known to hold leads to the same end: boundaries, middles, page edges.
      const span = found.end - from;
      for (const step of [1n, 3n, 7n, 20n, 60n, 99n]) {
        const at = from + (span * step) / 100n;
        const results = await Promise.all([at, at - (at % BigInt(WAL_PAGE)), segmentStart(at, MB)].map((lsn) => scan(server, lsn < from ? from : lsn, MB)));
        expect(results.map((result) => formatLsn(result.end))).toEqual(Array(3).fill(formatLsn(expected)));
      }
      expect((await scan(server, found.last, MB)).last).toBe(found.last);
      expect((await scan(server, found.end, MB)).end).toBe(found.end);
      const after = (await walNames(server.walDir)).map((name) => parseSegmentName(name, MB)).filter((id) => id !== null && id.start > found.end);
      if (after.length > 0) recycled += 1;
      await server.start();
    }
    expect(recycled).toBeGreaterThan(0);
  });

  it('ends where replay ends after a switch, with sparse new segments, inside a record of many segments, and past its replacement', async () => {
    const server = await made(TestPostgres.create(version, { segmentMegabytes: 1, settings: { wal_buffers: '64kB', wal_init_zero: 'off', wal_recycle: 'off', wal_keep_size: '1GB', max_wal_size: '1GB', checkpoint_timeout: '1h' } }));
    const from = redo(server);
    await server.value('create table load (number bigint, note text)');
    await server.value('select pg_switch_wal()');
    await server.kill();
    const atSwitch = await scan(server, from, MB);
    expect(formatLsn(atSwitch.end)).toBe(formatLsn(await replayed(server)));
    expect(atSwitch.end % BigInt(MB)).toBe(0n);
    // From within what the switch skipped, too.
    expect((await scan(server, atSwitch.end - 9000n, MB)).end).toBe(atSwitch.end);
    expect((await scan(server, atSwitch.end, MB)).end).toBe(atSwitch.end);

    // Until a kill has cut a record off, and recovery has put XLOG_OVERWRITE_CONTRECORD in its place.
    const segments = (): number => readdirSync(server.walDir).length;
    for (let round = 0; round < 3 || (overwrittenPages(server) === 0 && round < 10); round++) {
      await server.start();
      const load = await startLoad(server, 1, [huge], 1 + round * 1_000_000);
      await until(() => load.acknowledged() > 0);
      const before = segments();
      await until(() => segments() > before + 5 + round);
      await server.kill();
      await load.ended;
      const found = await scan(server, from, MB);
      expect(formatLsn(found.end)).toBe(formatLsn(await replayed(server)));
    }
    expect(overwrittenPages(server)).toBeGreaterThan(0);
  });

  it('follows a promotion from the old timeline into the new one', async () => {
    const server = await made(TestPostgres.create(version, { segmentMegabytes: 1, settings: { wal_keep_size: '1GB' } }));
    const from = redo(server);
    const load = await startLoad(server, 2);
    await until(() => load.acknowledged() > 50);
    await server.kill();
    await load.ended;
    const old = await scan(server, from, MB);
    const next = await made(server.copyAsStandby());
    await next.value('select pg_promote()');
    const second = await startLoad(next, 2, undefined, 1_000_000);
    await until(() => second.acknowledged() > 50);
    await next.kill();
    await second.ended;
    const expected = formatLsn(await replayed(next));
    for (const start of [from, old.last, old.end, old.end + 3000n]) {
      const found = await scan(next, start, MB, 2);
      expect([formatLsn(found.end), found.timeline, found.laterSegment]).toEqual([expected, 2, null]);
    }
    expect((await scan(server, from, MB)).end).toBe(old.end);
  });
});

describe.skipIf(VERSIONS[15] === undefined)('beside pg_waldump', () => {
  it('sees the same records, from each of them', async () => {
    const server = await made(TestPostgres.create(15, { settings: { wal_keep_size: '1GB', max_wal_size: '1GB' } }));
    const from = redo(server);
    const load = await startLoad(server, 4);
    await until(() => load.acknowledged() > 400);
    await server.kill();
    await load.ended;
    const size = 16 * MB;
    // pg_waldump exits with an error at the end of the WAL: that is what is looked for.
    const dump = await command('/bin/sh', ['-c', `"${join(server.bin, 'pg_waldump')}" -p "${server.walDir}" -s ${formatLsn(segmentStart(from, size) + 40n)} 2>/dev/null || true`]);
    const records = [...dump.matchAll(/ lsn: ([0-9A-F]+\/[0-9A-F]+), prev /g)].map((match) => parseLsn(match[1]!));
    const whole = await scan(server, from, size);
    expect(records).toContain(whole.start);
    expect(records.length).toBeGreaterThan(1000);
    expect(whole.last).toBe(records.at(-1));
    for (let index = 1; index < records.length; index += Math.ceil(records.length / 150)) {
      const at = records[index]!;
      const inside = await scan(server, at + 4n, size);
      const boundary = await scan(server, at, size);
      expect([boundary.end, boundary.last, inside.end]).toEqual([whole.end, whole.last, whole.end]);
      // Counted from where each began, none is left out.
      expect(boundary.records).toBe(records.length - records.indexOf(boundary.start));
    }
  });
});
