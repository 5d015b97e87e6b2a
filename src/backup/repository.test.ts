import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identify } from '../engine/proc.ts';
import { FolderStore } from './folder-store.ts';
import { type BackupInfo, decodeInfo, encodeInfo, isLabel, labelOf } from './info.ts';
import { lockFile } from './lock.ts';
import { pruneBackups, removeBackup } from './remove.ts';
import { chooseSystem, openRepository, SystemFolder } from './repository.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-backup-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no error', (error: unknown) => error);
const INFO: BackupInfo = {
  format: 1, label: '20261121T113005Z-full', kind: 'full', cluster: 'shop', group: 'main', systemIdentifier: '7', source: 'n1', version: '18.4', major: 18, segmentSize: 1 << 20, timeline: 1,
  startLsn: '0/200028', stopLsn: '0/300000', startedAt: '2026-11-21T11:30:05.000Z', stoppedAt: '2026-11-21T11:30:06.000Z', bytes: 5, manifestSha256: 'ab', wal: [], settings: { work_mem: '8MB' },
};

async function withBackups(store: FolderStore, infos: Partial<BackupInfo>[]): Promise<SystemFolder> {
  const system = new SystemFolder(store, 'shop-main-7');
  for (const one of infos) await store.put(system.key('backups', one.label!, 'backup.json'), encodeInfo({ ...INFO, ...one }));
  return system;
}

describe('FolderStore', () => {
  it('gives back what was put, and nothing for what was not', async () => {
    const store = new FolderStore(join(dir, 'a', 'b'));
    await store.put('x/y', Buffer.from('one'));
    await store.put('x/y', Buffer.from('three'));
    expect((await store.get('x/y'))?.toString()).toBe('three');
    expect(await store.stat('x/y')).toMatchObject({ key: 'x/y', size: 5 });
    expect((await store.list('x')).map(({ key }) => key)).toEqual(['x/y']);
    await store.delete('x/y');
    await store.delete('x/y');
    expect([await store.get('x/y'), await store.stat('x/y'), await store.list('x'), await store.list('z')]).toEqual([null, null, [], []]);
  });

  it('counts nothing that is only half written', async () => {
    const store = new FolderStore(dir);
    mkdirSync(join(dir, 'x'));
    writeFileSync(join(dir, 'x', '.y.1.ab.tmp'), 'half');
    expect(await store.list('x')).toEqual([]);
  });
});

describe('openRepository', () => {
  it('makes one of an empty folder, and refuses what it did not make', async () => {
    expect(await errorOf(openRepository(join(dir, 'r')))).toMatchObject({ code: 'no-such-backup' });
    await openRepository(join(dir, 'r'), { make: true });
    await openRepository(join(dir, 'r'));
    mkdirSync(join(dir, 'full'));
    writeFileSync(join(dir, 'full', 'thesis.txt'), '');
    expect(await errorOf(openRepository(join(dir, 'full'), { make: true }))).toMatchObject({ code: 'not-ours', message: expect.stringContaining('thesis.txt') });
  });

  it('refuses one of a format that it does not know', async () => {
    writeFileSync(join(dir, 'pgorbit-backups.json'), '{"format":2}');
    expect(await errorOf(openRepository(dir))).toMatchObject({ code: 'not-ours' });
  });
});

describe('chooseSystem', () => {
  const anybody = { cluster: undefined, group: undefined };
  const of = (cluster: string | undefined, group?: string): { cluster: string | undefined; group: string | undefined } => ({ cluster, group });

  it('takes the only one, or the one of the named cluster', async () => {
    const store = new FolderStore(dir);
    expect(await errorOf(chooseSystem(store, anybody))).toMatchObject({ code: 'no-such-backup' });
    await store.makeFolder('shop-main-7/backups');
    expect((await chooseSystem(store, anybody)).name).toBe('shop-main-7');
    await store.makeFolder('bank-main-8/backups');
    expect(await errorOf(chooseSystem(store, anybody))).toMatchObject({ code: 'usage' });
    expect((await chooseSystem(store, of('bank'))).name).toBe('bank-main-8');
    expect(await errorOf(chooseSystem(store, of('mill')))).toMatchObject({ code: 'no-such-backup' });
  });

  it('does not take another cluster for it whose name begins alike', async () => {
    const store = new FolderStore(dir);
    await withBackups(store, [INFO]);
    await store.put('shop-east-main-9/backups/20261121T113005Z-full/backup.json', encodeInfo({ ...INFO, cluster: 'shop-east' }));
    expect((await chooseSystem(store, of('shop'))).name).toBe('shop-main-7');
    expect((await chooseSystem(store, of('shop-east'))).name).toBe('shop-east-main-9');
  });

  it('tells groups of a cluster apart by --group, and systems of one name by the whole name', async () => {
    const store = new FolderStore(dir);
    for (const [system, group] of [['shop-main-7', 'main'], ['shop-other-main-8', 'other-main'], ['shop-main-9', 'main']] as const) {
      await store.put(`${system}/backups/20261121T113005Z-full/backup.json`, encodeInfo({ ...INFO, group }));
    }
    expect((await chooseSystem(store, of('shop', 'other-main'))).name).toBe('shop-other-main-8');
    expect((await chooseSystem(store, of(undefined, 'other-main'))).name).toBe('shop-other-main-8');
    expect(await errorOf(chooseSystem(store, of('shop', 'main')))).toMatchObject({ code: 'usage', hint: expect.stringContaining('shop-main-7, shop-main-9') });
    expect((await chooseSystem(store, of('shop-main-9'))).name).toBe('shop-main-9');
    expect(await errorOf(chooseSystem(store, of('shop', 'none')))).toMatchObject({ code: 'no-such-backup', message: expect.stringContaining('of group none of cluster shop') });
  });
});

describe('backup.json', () => {
  it('comes back as it was', () => {
    expect(decodeInfo(encodeInfo(INFO), 'x')).toEqual(INFO);
  });

  it.each([
    ['a changed value', (text: string) => text.replace('0/300000', '0/300008')],
    ['a missing value', (text: string) => text.replace('"group": "main",', '')],
    ['half of it', (text: string) => text.slice(0, 100)],
    ['nothing', () => 'null'],
  ])('is refused with %s', (_what, change) => {
    expect(() => decodeInfo(Buffer.from(change(encodeInfo(INFO).toString())), '/repo/backup.json')).toThrow(expect.objectContaining({ code: 'backup-damaged', message: expect.stringContaining('/repo/backup.json') }));
  });

  it('has a label that sorts by time', () => {
    const [early, next, late] = [labelOf(new Date('2026-01-02T03:04:05.678Z'), 'full'), labelOf(new Date('2026-01-02T03:04:05.678Z'), 'incremental'), labelOf(new Date('2026-11-02T03:04:05Z'), 'full')];
    expect([early, next]).toEqual(['20260102T030405Z-full', '20260102T030405Z-incremental']);
    expect([early, next, late, `${early}-2`, 'data', '.new'].map(isLabel)).toEqual([true, true, true, true, false, false]);
    expect([late, next, early].sort()).toEqual([early, next, late]);
  });
});

describe('lockFile', () => {
  it('keeps a second one out until it is given up, and takes over from the dead', async () => {
    const file = join(dir, 'lock');
    const release = await lockFile(file, 'a backup');
    expect(await errorOf(lockFile(file, 'another'))).toMatchObject({ code: 'locked', message: expect.stringContaining('a backup') });
    await release();
    const dead = { ...identify(process.pid)!, startTime: '1', host: hostname(), what: 'a backup', since: '' };
    writeFileSync(file, JSON.stringify(dead));
    await (await lockFile(file, 'another'))();
    expect(existsSync(file)).toBe(false);
  });

  it('does not judge processes of other machines', async () => {
    const file = join(dir, 'lock');
    writeFileSync(file, JSON.stringify({ pid: 1, startTime: '1', bootId: 'x', host: 'elsewhere', what: 'a backup', since: '' }));
    expect(await errorOf(lockFile(file, 'another'))).toMatchObject({ code: 'locked', hint: expect.stringContaining(file) });
  });
});

describe('removing', () => {
  it('keeps the newest, with the WAL that they need', async () => {
    const store = await openRepository(join(dir, 'r'), { make: true });
    const system = await withBackups(store, [{ label: '20260101T000000Z-full' }, { label: '20260102T000000Z-full', startLsn: '0/500028' }]);
    for (const name of ['000000010000000000000004', '000000010000000000000005']) {
      await store.put(system.key('wal', name), Buffer.from('wal'));
      await store.put(system.key('sums', name), Buffer.from('sum'));
    }
    expect(await pruneBackups(system, 1)).toEqual({ backups: ['20260101T000000Z-full'], segments: ['000000010000000000000004'], needed: [] });
    expect(await system.labels()).toEqual(['20260102T000000Z-full']);
    expect((await store.list(system.key('wal'))).map(({ key }) => key)).toEqual(['shop-main-7/wal/000000010000000000000005']);
    expect(await store.stat(system.key('sums', '000000010000000000000004'))).toBe(null);
    expect(await errorOf(pruneBackups(system, 0))).toMatchObject({ code: 'usage' });
  });

  it('removes a damaged one by its name, and then leaves WAL alone that a damaged one may need', async () => {
    const store = await openRepository(join(dir, 'r'), { make: true });
    const system = await withBackups(store, [{ label: '20260101T000000Z-full' }, { label: '20260102T000000Z-full', startLsn: '0/500028' }]);
    await store.put(system.key('wal', '000000010000000000000004'), Buffer.from('wal'));
    await store.put(system.key('backups', '20260101T000000Z-full', 'backup.json'), Buffer.from('{}'));
    expect(await removeBackup(system, '20260102T000000Z-full')).toEqual({ backups: ['20260102T000000Z-full'], segments: [], needed: [] });
    expect(await removeBackup(system, '20260101T000000Z-full')).toEqual({ backups: ['20260101T000000Z-full'], segments: [], needed: [] });
    expect(await errorOf(removeBackup(system, '20260101T000000Z-full'))).toMatchObject({ code: 'no-such-backup' });
  });

  it('refuses to remove what another builds on, and keeps it beyond the number that is kept', async () => {
    const store = await openRepository(join(dir, 'r'), { make: true });
    const [full, next, last] = ['20260101T000000Z-full', '20260102T000000Z-incremental', '20260103T000000Z-incremental'] as const;
    const on = (label: string): Pick<BackupInfo, 'kind' | 'parent'> => ({ kind: 'incremental', parent: { label, manifestSha256: 'ab' } });
    const system = await withBackups(store, [{ label: full }, { label: next, ...on(full) }, { label: last, ...on(next) }]);
    expect(await errorOf(removeBackup(system, full))).toMatchObject({ code: 'unsafe', message: expect.stringContaining(`${next}, ${last} build on it`), hint: `remove ${last}, then ${next} first` });
    expect(await pruneBackups(system, 1)).toEqual({ backups: [], segments: [], needed: [{ backup: full, by: [last] }, { backup: next, by: [last] }] });
    await removeBackup(system, last);
    await removeBackup(system, next);
    expect(await removeBackup(system, full)).toMatchObject({ backups: [full] });
  });

  it('clears what a killed one left, once nobody is at work', async () => {
    const store = await openRepository(join(dir, 'r'), { make: true });
    const system = await withBackups(store, []);
    mkdirSync(system.path('backups', '.x.new', 'data'), { recursive: true });
    await (await system.lock('a test')).release();
    expect(await store.folders(system.key('backups'))).toEqual([]);
  });
});
