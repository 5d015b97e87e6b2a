/** What proof.ts guards against, of stock PostgreSQL: a standby confirms a commit that it does not have and will never get. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { caughtUp, conninfo, promote } from '../../engine/rewind/testing/pair.ts';
import { TestPostgres, VERSIONS } from '../../wal/testing/postgres.ts';

// As pgorbit has it. A 15 says where it is when that has changed, or once a second; an 18 at each beginning of a stream, too.
const SETTINGS = { fsync: 'off', wal_keep_size: '1GB', max_wal_size: '1GB', checkpoint_timeout: '1h', hot_standby: 'on', wal_receiver_status_interval: '1s' };
const WAIT = { timeout: 30_000, interval: 50 };

const servers: TestPostgres[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.destroy();
});

async function set(server: TestPostgres, name: string, value: string): Promise<void> {
  await server.value(`alter system set ${name} = '${value}'`);
  await server.value('select pg_reload_conf()');
}

/** `primary` was promoted to timeline 2; the other two have WAL of timeline 1 beyond that, in the segment in which 2 begins. */
async function forked(version: number): Promise<{ primary: TestPostgres; c: TestPostgres; d: TestPostgres }> {
  const former = await TestPostgres.create(version, { settings: SETTINGS });
  servers.push(former);
  await former.value('create table kept (id int primary key)');
  await former.stop();
  const standby = async (): Promise<TestPostgres> => {
    const made = await former.copyAsStandby({ primary_conninfo: conninfo(former) });
    servers.push(made);
    return made;
  };
  const [primary, c, d] = [await standby(), await standby(), await standby()];
  await former.start();
  // A receiver asks from the beginning of its segment on: that is on both timelines.
  await former.value('select pg_switch_wal()');
  await former.value('insert into kept values (1)');
  await caughtUp(former, primary);
  await set(primary, 'primary_conninfo', '');
  while ((await primary.value('select count(*) from pg_stat_wal_receiver')) !== '0') await pause(20);
  await former.value('insert into kept select g from generate_series(1000, 20000) g');
  await caughtUp(former, c);
  await caughtUp(former, d);
  await former.kill();
  await promote(primary);
  return { primary, c, d };
}

/** A reload is not enough to change a name: a receiver that is sent back again and again keeps its connection through that. */
const follow = (standby: TestPostgres, primary: TestPostgres, name: string): Promise<void> => set(standby, 'primary_conninfo', `${conninfo(primary)} application_name=${name}`);

/** How often it was sent what there is of timeline 1, and told that this ends before what it has. */
const rounds = (standby: TestPostgres): number => standby.log.split('End of WAL reached on timeline 1').length - 1;

describe.each(Object.keys(VERSIONS).map(Number))('PostgreSQL %i: a standby with WAL beyond the fork', (version) => {
  it('confirms a commit of the new timeline under a name that counts, and never has it', async () => {
    const { primary, c, d } = await forked(version);
    await set(primary, 'synchronous_standby_names', 'ANY 1 ("c@2", "d@2")');
    const session = await primary.connect();
    const { rows } = await session.query<{ pid: number }>('select pg_backend_pid() as pid');
    const waitsFor = (): Promise<string> => primary.value(`select wait_event from pg_stat_activity where pid = ${rows[0]?.pid}`);
    let answer = 'none';
    void session.query('insert into kept values (2)').then(() => 'success', String).then((text) => { answer = text; });
    await expect.poll(waitsFor, WAIT).toBe('SyncRep');

    await follow(c, primary, 'c@0');
    await expect.poll(() => rounds(c), WAIT).toBeGreaterThan(20);
    expect([answer, await waitsFor()]).toEqual(['none', 'SyncRep']);

    await follow(d, primary, 'd@2');
    await expect.poll(() => answer, WAIT).toBe('success');
    await expect.poll(() => d.log, WAIT).toMatch(/new timeline 2 forked off current database system timeline 1 before current recovery point/);
    expect(await d.value('select count(*) from kept where id = 2')).toBe('0');
  });
});
