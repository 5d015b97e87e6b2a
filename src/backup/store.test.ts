/** What every store promises: the same for a folder and for S3, with and without conditional writes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errnoOf } from '../errors.ts';
import { FolderStore } from './folder-store.ts';
import type { Store } from './store.ts';
import { TestS3 } from './testing/s3-server.ts';

const NEVER = new AbortController().signal;
const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of cleanup.splice(0).toReversed()) await one();
});

const errorOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no error', (error: unknown) => error);
const keysOf = (values: { key: string }[]): string[] => values.map(({ key }) => key).sort();
async function textOf(pieces: AsyncIterable<Buffer>): Promise<string> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(Buffer.from(piece));
  return Buffer.concat(all).toString();
}

describe.each<[string, () => Promise<Store>]>([
  ['a folder', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'pgorbit-store-'));
    cleanup.push(() => rmSync(dir, { recursive: true, force: true }));
    return new FolderStore(join(dir, 'store'));
  }],
  ['S3', async () => (await TestS3.start(cleanup, { page: 3 })).store()],
  ['S3 of the whole bucket', async () => (await TestS3.start(cleanup)).store({ settings: { prefix: '' } })],
  ['S3 without conditional writes', async () => (await TestS3.start(cleanup, { conditional: false })).store()],
])('%s', (_name, make) => {
  let store: Store;
  beforeEach(async () => {
    store = await make();
  });

  it('gives back what was put, and nothing for what was not', async () => {
    await store.put('x/y', Buffer.from('one'));
    await store.put('x/y', Buffer.from('three'));
    await store.put('x/empty', Buffer.alloc(0));
    expect((await store.get('x/y'))?.toString()).toBe('three');
    expect((await store.get('x/empty'))?.length).toBe(0);
    expect(await textOf(store.read('x/y'))).toBe('three');
    expect(await store.stat('x/y')).toMatchObject({ key: 'x/y', size: 5 });
    expect(Math.abs((await store.stat('x/y'))!.modifiedMs - Date.now())).toBeLessThan(60_000);
    await store.delete('x/y');
    await store.delete('x/y');
    expect([await store.get('x/y'), await store.stat('x/y'), await store.list('z'), await store.listAll('z'), await store.folders('z')]).toEqual([null, null, [], [], []]);
    expect(errnoOf(await errorOf(textOf(store.read('x/y'))))).toBe('ENOENT');
  });

  it('creates only what is not there', async () => {
    expect(await store.create('a/b', Buffer.from('first'))).toBe(true);
    expect(await store.create('a/b', Buffer.from('second'))).toBe(false);
    expect((await store.get('a/b'))?.toString()).toBe('first');
    expect(keysOf(await store.listAll('.'))).toEqual(['a/b']);
  });

  it('lists what is below a folder, and not beside it, in however many pages', async () => {
    const keys = ['a/1', 'a/2', 'a/3', 'a/4', 'a/5', 'a/b/6', 'a/b/c/7', 'a/d/8', 'ab/9', 'top'];
    for (const key of keys) await store.put(key, Buffer.from(key));
    expect(keysOf(await store.list('a'))).toEqual(keys.slice(0, 5));
    expect(keysOf(await store.listAll('a'))).toEqual(keys.slice(0, 8));
    expect(keysOf(await store.listAll('.'))).toEqual(keys);
    expect(keysOf(await store.list('.'))).toEqual(['top']);
    expect([await store.folders('.'), await store.folders('a'), await store.folders('a/d')]).toEqual([['a', 'ab'], ['b', 'd'], []]);
    expect((await store.listAll('a')).map(({ size }) => size).toSorted()).toEqual([3, 3, 3, 3, 3, 5, 5, 7]);
  });

  it('shows a folder when it is published, and not before', async () => {
    const fresh = await store.begin('f/one');
    await store.put(`${fresh}/x/y`, Buffer.from('data'));
    expect(await store.folders('f')).toEqual([]);
    await store.publish('f/one');
    expect(await store.folders('f')).toEqual(['one']);
    expect((await store.get('f/one/x/y'))?.toString()).toBe('data');
  });

  it('removes a folder, and nothing beside it', async () => {
    for (const name of ['one', 'one-2', 'on']) {
      const fresh = await store.begin(`f/${name}`);
      await store.put(`${fresh}/x`, Buffer.from(name));
      await store.publish(`f/${name}`);
    }
    await store.remove('f/one');
    await store.remove('f/never');
    expect(await store.folders('f')).toEqual(['on', 'one-2']);
    expect(keysOf((await store.listAll('f')).filter(({ key }) => !key.includes('/.')))).toEqual(['f/on/x', 'f/one-2/x']);
  });

  it('clears what was begun and never published, for good', async () => {
    const fresh = await store.begin('f/half');
    await store.put(`${fresh}/data/x`, Buffer.from('half'));
    const whole = await store.begin('f/whole');
    await store.put(`${whole}/x`, Buffer.from('all'));
    await store.publish('f/whole');
    await store.clear('f');
    expect(await store.folders('f')).toEqual(['whole']);
    expect(keysOf(await store.listAll('f')).filter((key) => key.endsWith('x'))).toEqual(['f/whole/x']);
    // Its maker was only stopped, and goes on.
    await store.put(`${fresh}/data/z`, Buffer.from('late'));
    const late = await errorOf(store.publish('f/half'));
    if (store.local('.') === null) expect(late).toMatchObject({ code: 'locked' });
    if (store.local('.') === null) expect(await store.folders('f')).toEqual(['whole']);
  });

  it('takes the files of a base backup, whatever their names and sizes', async () => {
    const fresh = await store.begin('f/one');
    const target = store.target(`${fresh}/data`, null, NEVER);
    if (store.local('.') !== null) await store.put(`${fresh}/x`, Buffer.from('x'));
    await target.prepare();
    const failures: unknown[] = [];
    const tree = target.open(() => {}, (error) => void failures.push(error));
    // The folder's own list takes names for UTF-8, which a data directory's need not be.
    const odd = store.local('.') === null ? '\xe9%' : '%';
    const files: Record<string, Buffer> = { 'PG_VERSION': Buffer.from('18\n'), 'base/1/empty': Buffer.alloc(0), [`base/1/odd ${odd}'&<name>`]: Buffer.from('odd'), 'base/1/large': Buffer.alloc(9_000_000, 'abcdefg') };
    for (const folder of ['base', 'base/1', 'pg_notify']) tree.folder(folder);
    for (const [path, bytes] of Object.entries(files)) {
      const sink = tree.file(path, bytes.length);
      for (let at = 0; at < bytes.length; at += 2_000_000) sink.add(bytes.subarray(at, at + 2_000_000));
      sink.end();
    }
    await tree.settled();
    await target.sync();
    await target.seal(Buffer.from('manifest'));
    expect([failures, tree.backlog]).toEqual([[], 0]);
    await store.publish('f/one');
    expect((await store.listAll('f/one/data')).map(({ size }) => size).toSorted((a, b) => a - b)).toEqual([0, 3, 3, 8, 9_000_000]);
    expect(await textOf(store.read('f/one/data/base/1/large'))).toBe(files['base/1/large']!.toString());
    expect((await store.get('f/one/data/backup_manifest'))?.toString()).toBe('manifest');
    if (store.local('.') === null) expect(target.folders).toEqual(['base', 'base/1', 'pg_notify']);
  });

  it('locks for one, until it lets go', async () => {
    const held = await store.lock('s/lock', 'a backup');
    expect(await errorOf(store.lock('s/lock', 'another'))).toMatchObject({ code: 'locked', message: expect.stringContaining('a backup') });
    await (await store.lock('s/other.lock', 'a backup')).release();
    await held.release();
    const again = await store.lock('s/lock', 'another');
    expect(again.lost.aborted).toBe(false);
    await again.release();
  });

  it('locks for one of many that come at the same time', async () => {
    for (let round = 0; round < 3; round++) {
      const came = await Promise.allSettled(Array.from({ length: 4 }, (_, who) => store.lock('s/lock', `number ${who}`)));
      const held = came.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      expect(held.length).toBeLessThanOrEqual(1);
      for (const one of came) if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'locked' });
      for (const one of held) await one.release();
    }
    await (await store.lock('s/lock', 'the last')).release();
  });
});
