import { chmod, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { acquireLock, lockOwner } from './lock.ts';
import { identify } from '../engine/proc.ts';
import { writeMarker, readMarker, type Marker } from './marker.ts';
import { folderOfLeftover } from './member-folder.ts';
import { openVolume, type Volume } from './volume.ts';
import { testFolder } from './testing/folder.ts';

const marker = (member: string): Marker => ({
  format: 1, clusterId: 'c1', cluster: 'shop', group: 'main', member, incarnation: 1, term: 1, systemIdentifier: null, madeAt: '',
});

/** A member's folder with a little of what PGDATA has. */
async function memberOn(volume: Volume, name: string): Promise<string> {
  const dir = join(volume.path, 'shop', 'main', name);
  await volume.createMember(dir, marker(name));
  const data = join(dir, 'data');
  for (const folder of ['global', 'base/5', 'pg_wal/archive_status', 'pg_replslot/slot', 'pg_tblspc', 'pg_notify']) {
    await mkdir(join(data, folder), { recursive: true, mode: 0o700 });
  }
  await chmod(data, 0o700);
  await writeFile(join(data, 'PG_VERSION'), '18\n', { mode: 0o600 });
  await writeFile(join(data, 'global/pg_control'), Buffer.alloc(8192, 7), { mode: 0o600 });
  await writeFile(join(data, 'base/5/16384'), Buffer.alloc(3_000_000, 1), { mode: 0o600 });
  await writeFile(join(data, 'base/5/t1_9'), 'temporary');
  await writeFile(join(data, 'pg_wal/000000010000000000000001'), Buffer.alloc(100_000, 2));
  await writeFile(join(data, 'postmaster.pid'), '1');
  await writeFile(join(data, 'pg_replslot/slot/state'), 's');
  await writeFile(join(data, 'pg_notify/0000'), 'n');
  await symlink('PG_VERSION', join(data, 'link'));
  await acquireLock(dir, await lockOwner('h1', identify(process.pid)!, 1));
  return dir;
}

test('a copy has the data, and nothing of the source’s own', async () => {
  const volume = await openVolume(await testFolder(), 'copy');
  const source = await memberOn(volume, 'n1');
  const target = join(volume.path, 'shop', 'main', 'n2');
  const progress: number[] = [];
  const result = await volume.cloneMember(source, target, { marker: marker('n2'), onProgress: (done, total) => progress.push(done / total) });
  expect(progress.at(-1)).toBe(1);
  expect(result).toMatchObject({ files: 4, bytes: 3_108_195, copiedBytes: 3_108_195, notes: [] });
  expect((await readdir(target)).sort()).toEqual(['data', 'pgorbit.json']);
  expect((await readMarker(target))?.member).toBe('n2');
  const data = join(target, 'data');
  expect((await readdir(data)).sort()).toEqual(['PG_VERSION', 'base', 'global', 'link', 'pg_notify', 'pg_replslot', 'pg_tblspc', 'pg_wal']);
  expect(await readdir(join(data, 'pg_replslot'))).toEqual([]);
  expect(await readdir(join(data, 'pg_notify'))).toEqual([]);
  expect(await readdir(join(data, 'base/5'))).toEqual(['16384']);
  expect(await readlink(join(data, 'link'))).toBe('PG_VERSION');
  expect((await readFile(join(data, 'base/5/16384'))).equals(Buffer.alloc(3_000_000, 1))).toBe(true);
  expect((await stat(data)).mode & 0o777).toBe(0o700);
  expect((await stat(join(data, 'PG_VERSION'))).mode & 0o777).toBe(0o600);
  expect((await readdir(join(volume.path, 'shop', 'main'))).filter((name) => folderOfLeftover(name) !== null)).toEqual([]);
});

test('an existing target is never overwritten', async () => {
  const volume = await openVolume(await testFolder(), 'copy');
  const source = await memberOn(volume, 'n1');
  const target = join(volume.path, 'shop', 'main', 'n2');
  await mkdir(target);
  await expect(volume.cloneMember(source, target)).rejects.toMatchObject({ code: 'unsafe' });
  await expect(volume.createMember(target)).rejects.toMatchObject({ code: 'unsafe' });
  await expect(volume.moveMember(source, target)).rejects.toMatchObject({ code: 'unsafe' });
  expect(await readdir(target)).toEqual([]);
});

test('an interrupted clone leaves nothing, and a leftover of a crash is cleared', async () => {
  const volume = await openVolume(await testFolder(), 'copy');
  const source = await memberOn(volume, 'n1');
  const group = join(volume.path, 'shop', 'main');
  const target = join(group, 'n2');
  const stop = new AbortController();
  const cloning = volume.cloneMember(source, target, { signal: stop.signal, onProgress: () => stop.abort() });
  await expect(cloning).rejects.toMatchObject({ name: 'AbortError' });
  expect(await readdir(group)).toEqual(['n1']);
  await mkdir(join(group, '.n2.pgorbit-new', 'data'), { recursive: true });
  expect((await readdir(group)).filter((name) => folderOfLeftover(name) !== null)).toEqual(['.n2.pgorbit-new']);
  await volume.cloneMember(source, target, { marker: marker('n2') });
  expect((await readdir(group)).sort()).toEqual(['n1', 'n2']);
});

test('a tablespace elsewhere is refused before anything is made', async () => {
  const volume = await openVolume(await testFolder(), 'copy');
  const source = await memberOn(volume, 'n1');
  await symlink('/srv/fast', join(source, 'data/pg_tblspc/16500'));
  await expect(volume.cloneMember(source, join(volume.path, 'shop/main/n2'))).rejects.toThrow(/tablespace 16500 lies outside it, in \/srv\/fast/);
  expect(await readdir(join(volume.path, 'shop/main'))).toEqual(['n1']);
});

test('only what pgorbit made is removed', async () => {
  const volume = await openVolume(await testFolder(), 'copy');
  const source = await memberOn(volume, 'n1');
  const foreign = join(volume.path, 'shop/main/mine');
  await mkdir(join(foreign, 'data'), { recursive: true });
  await expect(volume.removeMember(foreign)).rejects.toMatchObject({ code: 'not-ours' });
  await expect(volume.removeMember(volume.path)).rejects.toMatchObject({ code: 'unsafe' });
  await expect(volume.removeMember('/tmp')).rejects.toMatchObject({ code: 'unsafe' });
  await volume.moveMember(source, join(volume.path, 'shop/main/n1.before'));
  await volume.removeMember(join(volume.path, 'shop/main/n1.before'));
  await volume.removeMember(join(volume.path, 'shop/main/n1.before'));
  expect(await readdir(join(volume.path, 'shop/main'))).toEqual(['mine']);
});

test('copies share nothing', async () => {
  const volume = await openVolume(await testFolder(), 'copy');
  const source = await memberOn(volume, 'n1');
  const usage = await volume.usage([{ name: 'n1', dir: source }, { name: 'n2', dir: join(volume.path, 'none') }]);
  expect(usage.exact).toBe(true);
  expect(usage.members[0]!.exclusive).toBeGreaterThan(3_000_000);
  expect(usage.members[1]).toEqual({ name: 'n2', logical: 0, exclusive: 0 });
  expect(usage.logical).toBe(usage.members[0]!.exclusive);
  expect(await volume.shareWal(join(source, 'data/pg_wal'), join(source, 'data/pg_wal'), { upTo: 'F'.repeat(24) })).toEqual({ segments: 0, freed: 0 });
});

test('a volume that is not there is said so', async () => {
  await expect(openVolume(join(await testFolder(), 'none'), 'auto')).rejects.toMatchObject({ code: 'volume-failed' });
});

test('a marker of the source does not outlive its member', async () => {
  const volume = await openVolume(await testFolder(), 'copy');
  const source = await memberOn(volume, 'n1');
  const target = join(volume.path, 'shop/main/n2');
  await volume.cloneMember(source, target);
  await expect(readMarker(target)).rejects.toMatchObject({ code: 'not-ours' });
  await writeMarker(target, marker('n2'));
  expect((await readMarker(target))?.member).toBe('n2');
});
