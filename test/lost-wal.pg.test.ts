/** What the old primary acknowledged can't be read from the volume: nobody is promoted without it, unless a person accepts the loss. */
import { readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sendSignal, withDescendants } from '../src/engine/proc.ts';
import { askMember } from './support/ask.ts';
import { TestCluster } from './support/cluster.ts';
import { SCENES, sceneManifest, whyNotHere } from './support/scenes.ts';

const scene = SCENES.btrfs;
const reason = await whyNotHere(scene);

describe.skipIf(reason !== null)(`lost WAL: ${scene.what}${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  let cluster: TestCluster;
  const ask = (sql: string, member?: string): Promise<string | null> => askMember(cluster, sql, member);
  const dataOf = (member: string): string => join(cluster.volume, 'test', 'main', member, 'data');

  beforeAll(async () => {
    cluster = await TestCluster.open();
    await cluster.up(sceneManifest(cluster, scene));
    await ask('create table paid (id int)');
  });
  afterAll(() => cluster?.destroy());

  /** The primary acknowledges a row that no replica has received, and dies when the damage is done. */
  async function dieWithWhatOnlyItHas(row: number, damage: (dataDir: string) => void): Promise<string> {
    const { name, pid } = await cluster.primary();
    const senders = (await ask("select string_agg(pid::text, ' ') from pg_stat_replication"))?.split(' ').map(Number) ?? [];
    expect(senders).toHaveLength(2);
    for (const sender of senders) sendSignal(sender, 'SIGSTOP');
    await ask(`insert into paid values (${row})`);
    const family = withDescendants([pid ?? 0]);
    damage(dataOf(name));
    for (const one of family) sendSignal(one, 'SIGKILL');
    return name;
  }

  async function expectNobody(old: string): Promise<string> {
    await expect.poll(async () => (await cluster.group()).reason, { timeout: 30_000 }).toMatch(/is being promoted in term \d+; \d+ tries have failed/);
    const group = await cluster.group();
    expect(group.primary).toBeNull();
    const candidate = group.members.find(({ name }) => name !== old)?.name ?? '';
    const refused = await cluster.cli('promote', candidate, '--force');
    expect(refused).toMatchObject({ code: 1 });
    const told = (await cluster.events()).filter(({ kind }) => kind === 'promotion-failed').map(({ message }) => message).join('\n');
    expect(told).toMatch(/can't be read.* --force --accept-loss/);
    return candidate;
  }

  async function acceptLoss(candidate: string): Promise<void> {
    await cluster.must('promote', candidate, '--force', '--accept-loss');
    const status = await cluster.waitHealthy({ members: 3 });
    expect(status.groups[0]).toMatchObject({ primary: candidate });
    expect((await cluster.events()).map(({ kind }) => kind)).toContain('loss-accepted');
    const rows = await ask('select string_agg(id::text, $$ $$ order by id) from paid');
    for (const { name } of status.groups[0]?.members ?? []) await expect.poll(() => ask('select string_agg(id::text, $$ $$ order by id) from paid', name).catch(String)).toBe(rows);
  }

  test('a switch to the next segment, and a kill: all is there', async () => {
    const old = (await cluster.primary()).name;
    await ask('insert into paid values (1)');
    await ask('select pg_switch_wal()');
    await expect.poll(() => ask("select bool_and(replay_lsn = pg_current_wal_lsn())::text from pg_stat_replication")).toBe('true');
    await cluster.kill(old);
    const status = await cluster.waitHealthy({ members: 3 });
    expect(status.groups[0]?.primary).not.toBe(old);
    expect(await ask('select count(*) from paid')).toBe('1');
  });

  test('the segment that it wrote to is gone: nobody is promoted before a person gives up what was in it', async () => {
    const current = (await ask('select pg_walfile_name(pg_current_wal_insert_lsn())')) ?? '';
    const old = await dieWithWhatOnlyItHas(2, (dataDir) => {
      const segments = readdirSync(join(dataDir, 'pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name));
      expect(segments).toContain(current);
      for (const segment of segments) if (segment >= current) rmSync(join(dataDir, 'pg_wal', segment));
    });
    const candidate = await expectNobody(old);
    await acceptLoss(candidate);
    expect(await ask('select count(*) from paid where id = 2'), 'that was given up').toBe('0');
    expect(await ask('select count(*) from paid where id = 1')).toBe('1');
  });

  test('its folder is gone: what comes back in time is taken over by itself', async () => {
    const aside = join(cluster.volume, 'elsewhere');
    const old = await dieWithWhatOnlyItHas(3, (dataDir) => renameSync(join(dataDir, '..'), aside));
    await expectNobody(old);
    renameSync(aside, join(dataOf(old), '..'));
    await cluster.waitHealthy({ members: 3 });
    expect(await ask('select count(*) from paid where id = 3')).toBe('1');
  });

  test('its folder is gone for good: what the others have goes on', async () => {
    const old = await dieWithWhatOnlyItHas(4, (dataDir) => rmSync(join(dataDir, '..'), { recursive: true }));
    await acceptLoss(await expectNobody(old));
    expect(await ask("select string_agg(id::text, ' ' order by id) from paid")).toBe('1 3');
  });
});
