import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Member } from '../member.ts';
import { forgetReserved, reserveTimelines } from './reserve-timelines.ts';

const BEGUN = '1\t0/3000000\tno recovery target specified\n';

async function setUp(files: Record<string, string>): Promise<{ dataDir: string; histories: () => Promise<string[]>; member: Member }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'pgorbit-reserve-'));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  await mkdir(join(dataDir, 'pg_wal'));
  for (const [name, text] of Object.entries({ '000000010000000000000001': '', ...files })) await writeFile(join(dataDir, 'pg_wal', name), text);
  const histories = async (): Promise<string[]> => (await readdir(join(dataDir, 'pg_wal'))).filter((name) => name.endsWith('.history')).sort();
  return { dataDir, histories, member: { place: { dataDir }, observation: { timeline: 1 }, environment: { user: null } } as unknown as Member };
}

test('passes over every number below the one that was handed out', async () => {
  const { histories, member } = await setUp({});
  await reserveTimelines(member, 4);
  expect(await histories()).toEqual(['00000002.history', '00000003.history']);
});

test('forgets them before a start as a standby, where the promotion did not come about', async () => {
  const { dataDir, histories, member } = await setUp({});
  await reserveTimelines(member, 4);
  await forgetReserved(dataDir);
  expect(await histories()).toEqual([]);
});

test('keeps those below a timeline that was begun: PostgreSQL would not find that one behind a gap', async () => {
  const { dataDir, histories, member } = await setUp({ '00000003.history': BEGUN });
  await reserveTimelines(member, 6);
  expect(await histories()).toEqual(['00000002.history', '00000003.history', '00000004.history', '00000005.history']);
  await forgetReserved(dataDir);
  expect(await histories()).toEqual(['00000002.history', '00000003.history']);
});
