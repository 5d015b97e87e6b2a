import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { SingleStore } from './single.ts';
import { storeConformance, watchAll, write } from './testing/conformance.ts';

const quiet = (): void => {};

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'pgorbit-single-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

storeConformance('SingleStore', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'pgorbit-single-'));
  const store = await SingleStore.open({ file: join(dir, 'state'), host: 'h1', onError: quiet });
  return {
    store,
    async close() {
      await store.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
});

it('is its own leader for ever', async () => {
  const store = await SingleStore.open({ file: join(await folder(), 'state'), host: 'h1', onError: quiet });
  expect(store.leadership()).toEqual({ leader: 'h1', self: true, term: 1 });
});

it('knows after a restart all that it acknowledged, and counts revisions on', async () => {
  const file = join(await folder(), 'state');
  const first = await SingleStore.open({ file, host: 'h1', onError: quiet });
  const a = await write(first, 'a', 0, { deep: [1, 2] });
  const b = await write(first, 'b', 0, 1);
  const gone = await write(first, 'b', b, null);
  // No close: what was acknowledged is on disk already.
  const second = await SingleStore.open({ file, host: 'h1', onError: quiet });
  expect(await second.list('')).toEqual([{ key: 'a', revision: a, value: { deep: [1, 2] } }]);
  expect(await write(second, 'b', 0, 2)).toBeGreaterThan(gone);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

it('refuses a damaged file and a version that it does not know', async () => {
  const file = join(await folder(), 'state');
  await write(await SingleStore.open({ file, host: 'h1', onError: quiet }), 'a', 0, 'value');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace('"value":"value"', '"value":"valuf"'));
  await expect(SingleStore.open({ file, host: 'h1', onError: quiet })).rejects.toMatchObject({ code: 'state-corrupt' });
});

it('acknowledges nothing that it could not write, and goes on once it can', async () => {
  const dir = join(await folder(), 'gone');
  const store = await SingleStore.open({ file: join(dir, 'state'), host: 'h1', onError: quiet });
  const seen = watchAll(store, '');
  await expect(store.compareAndSet('a', 0, 1)).rejects.toMatchObject({ code: 'ENOENT' });
  expect(await store.read('a')).toBeNull();
  await mkdir(dir);
  await write(store, 'a', 0, 2);
  expect(seen.changes.map((change) => change.value)).toEqual([2]);
});

it('tells a poller what it missed, deletions included, however long it was away', async () => {
  const store = await SingleStore.open({ file: join(await folder(), 'state'), host: 'h1', onError: quiet });
  const a = await write(store, 'a', 0, 1);
  const b = await write(store, 'b', 0, 1);
  let revision = await write(store, 'b', b, null);
  for (let value = 2; value < 50; value++) revision = await write(store, 'c', value === 2 ? 0 : revision, value);
  const answer = await store.changesSince('', a, 60_000);
  expect(answer.changes.map(({ key, value }) => ({ key, value }))).toEqual([{ key: 'b', value: null }, { key: 'c', value: 49 }]);
  expect(answer.revision).toBe(revision);
});

it('wakes a poller with the first change under its prefix, and not with others', async () => {
  const store = await SingleStore.open({ file: join(await folder(), 'state'), host: 'h1', onError: quiet });
  const polling = store.changesSince('group/', 0, 60_000);
  await write(store, 'cluster', 0, 1);
  await write(store, 'group/a', 0, 1);
  expect((await polling).changes.map((change) => change.key)).toEqual(['group/a']);
});

it('ends a poll when its caller has gone, and at once when its caller is ahead of it', async () => {
  const store = await SingleStore.open({ file: join(await folder(), 'state'), host: 'h1', onError: quiet });
  await write(store, 'a', 0, 1);
  const caller = new AbortController();
  const polling = store.changesSince('', 1, 60_000, caller.signal);
  caller.abort();
  expect((await polling).changes).toEqual([]);
  expect(await store.changesSince('', 99, 60_000)).toMatchObject({ revision: 1, changes: [{ key: 'a' }] });
});
