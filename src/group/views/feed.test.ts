import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { REFRESH_MS, ViewsFeed } from './feed.ts';
import { STATUS_FILE, writeStatusFile } from './file.ts';

let folder: string;
let dataDir: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pgorbit-views-'));
  dataDir = join(folder, 'data');
  await mkdir(dataDir);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const initialised = (): Promise<void> => writeFile(join(dataDir, 'PG_VERSION'), '18\n');
const read = async (): Promise<{ cluster: string; as_of: string }> => JSON.parse(await readFile(join(dataDir, STATUS_FILE), 'utf8')) as { cluster: string; as_of: string };

test('nothing is written into a folder that initdb or a base backup wants empty, or that is not there', async () => {
  expect(await writeStatusFile(dataDir, null, {})).toBe(false);
  expect(await readdir(dataDir)).toEqual([]);
  expect(await writeStatusFile(join(folder, 'nowhere'), null, {})).toBe(false);
});

test('the file is for its owner alone, whole, and what a crash left aside is no obstacle', async () => {
  await initialised();
  const target = join(folder, 'elsewhere');
  await writeFile(target, 'untouched');
  await symlink(target, join(dataDir, `pgsql_tmp_${STATUS_FILE}`));
  expect(await writeStatusFile(dataDir, null, { a: 1 })).toBe(true);
  expect(await readFile(join(dataDir, STATUS_FILE), 'utf8')).toBe('{"a":1}\n');
  expect((await stat(join(dataDir, STATUS_FILE))).mode & 0o777).toBe(0o600);
  expect(await readFile(target, 'utf8')).toBe('untouched');
  expect((await readdir(dataDir)).sort()).toEqual(['PG_VERSION', STATUS_FILE]);
});

test('an unchanged document is written again only when the file grows old; a changed one at once', async () => {
  await initialised();
  const clock = { now: 1000 };
  const feed = new ViewsFeed({ owner: null, now: () => clock.now, date: () => new Date(clock.now), onError: (error) => { throw error; } });
  const update = (cluster: string): Promise<void> => feed.update({ cluster, groups: [] }, [], [{ group: 'main', member: 'n1', dataDir }]);
  await update('one');
  clock.now += REFRESH_MS - 1;
  await update('one');
  expect(await read()).toMatchObject({ cluster: 'one', as_of: '1970-01-01T00:00:01.000Z' });
  clock.now += 1;
  await update('one');
  expect((await read()).as_of).toBe('1970-01-01T00:00:06.000Z');
  clock.now += 1;
  await update('two');
  expect(await read()).toMatchObject({ cluster: 'two', as_of: '1970-01-01T00:00:06.001Z' });
});

test('a folder that cannot be written to is told of once, until it can be again, and stops no other', async () => {
  await initialised();
  const broken = join(folder, 'broken');
  await mkdir(broken);
  await writeFile(join(broken, 'PG_VERSION'), '18\n');
  await mkdir(join(broken, STATUS_FILE)); // nothing can be renamed to it
  const told: string[] = [];
  const feed = new ViewsFeed({ owner: null, now: () => 0, date: () => new Date(0), onError: (_, what) => told.push(what) });
  const members = [{ group: 'main', member: 'n1', dataDir: broken }, { group: 'main', member: 'n2', dataDir }];
  await feed.update({ cluster: 'one', groups: [] }, [], members);
  await feed.update({ cluster: 'two', groups: [] }, [], members);
  expect(told).toEqual(['writing the status file of n1']);
  expect((await read()).cluster).toBe('two');
  expect((await readdir(broken)).sort()).toEqual(['PG_VERSION', STATUS_FILE]);

  await rm(join(broken, STATUS_FILE), { recursive: true });
  await feed.update({ cluster: 'two', groups: [] }, [], members);
  await rm(join(broken, STATUS_FILE));
  await mkdir(join(broken, STATUS_FILE));
  await feed.update({ cluster: 'three', groups: [] }, [], members);
  expect(told).toHaveLength(2);
});
