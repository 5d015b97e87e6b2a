import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import type { Identity } from '../agent/identity/ca.ts';
import { RpcClient } from '../agent/rpc/client.ts';
import { startRpcServer } from '../agent/rpc/server.ts';
import { testCluster } from '../agent/testing/identities.ts';
import { silentLog } from '../observe/log.ts';
import { RemoteStore } from './remote.ts';
import { stateHandlers } from './serve.ts';
import { SingleStore } from './single.ts';
import { storeConformance, watchAll, write } from './testing/conformance.ts';

let decider: Identity;
let follower: Identity;
beforeAll(async () => {
  const cluster = await testCluster('c1');
  decider = await cluster.host('h1');
  follower = await cluster.host('h2');
});

interface Decider {
  store: SingleStore;
  port: number;
  stop(): Promise<void>;
}

async function startDecider(file: string, port = 0): Promise<Decider> {
  const store = await SingleStore.open({ file, host: 'h1', onError: () => {} });
  const server = await startRpcServer({ address: '127.0.0.1', port, identity: decider, handlers: stateHandlers(store), log: silentLog() });
  return {
    store,
    port: server.port,
    async stop() {
      await server.close();
      await store.close();
    },
  };
}

async function startFollower(port: number, cacheFile: string, errors: unknown[] = []): Promise<{ store: RemoteStore; stop(): Promise<void> }> {
  const client = new RpcClient({ address: '127.0.0.1', port, host: 'h1' }, follower);
  const store = await RemoteStore.open({
    client,
    leader: 'h1',
    cacheFile,
    onError: (error) => errors.push(error),
    backoffMs: { first: 5, longest: 20 },
  });
  return {
    store,
    async stop() {
      await store.close();
      client.close();
    },
  };
}

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'pgorbit-remote-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

storeConformance('RemoteStore', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'pgorbit-remote-'));
  const single = await startDecider(join(dir, 'state'));
  const remote = await startFollower(single.port, join(dir, 'cache'));
  return {
    store: remote.store,
    async close() {
      await remote.stop();
      await single.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
});

it('does not lead', async () => {
  const { store, stop } = await startFollower(1, join(await folder(), 'cache'));
  onTestFinished(stop);
  expect(store.leadership()).toEqual({ leader: 'h1', self: false, term: 1 });
});

it('sees what the decider writes itself', async () => {
  const dir = await folder();
  const single = await startDecider(join(dir, 'state'));
  onTestFinished(() => single.stop());
  const remote = await startFollower(single.port, join(dir, 'cache'));
  onTestFinished(() => remote.stop());
  const seen = watchAll(remote.store, 'group/');
  await write(single.store, 'group/a', 0, 'goal');
  await seen.until((changes) => changes.length > 0);
  expect(seen.changes).toEqual([{ key: 'group/a', revision: 1, value: 'goal' }]);
});

it('knows its last state while the decider is away, and goes on with it after', async () => {
  const dir = await folder();
  const [state, cache] = [join(dir, 'state'), join(dir, 'cache')];
  const first = await startDecider(state);
  const { port } = first;
  const revision = await write(first.store, 'group/a', 0, 'old goal');
  await write(first.store, 'group/b', 0, 'doomed');
  const before = await startFollower(port, cache);
  await watchAll(before.store, '').until((changes) => changes.length === 2);
  await before.stop();
  await first.stop();
  expect((await stat(cache)).mode & 0o777).toBe(0o600);

  const errors: unknown[] = [];
  const after = await startFollower(port, cache, errors);
  onTestFinished(() => after.stop());
  const seen = watchAll(after.store, '');
  await seen.until((changes) => changes.length === 2);
  expect(seen.changes.map((change) => change.value)).toEqual(['old goal', 'doomed']);
  await expect(after.store.read('group/a')).rejects.toMatchObject({ code: 'agent-unreachable' });

  const second = await startDecider(state, port);
  onTestFinished(() => second.stop());
  await write(second.store, 'group/a', revision, 'new goal');
  const doomed = await second.store.read('group/b');
  await write(second.store, 'group/b', doomed!.revision, null);
  await seen.until((changes) => changes.at(-1)?.value === null);
  expect(seen.changes.at(-1)).toMatchObject({ key: 'group/b', value: null });
  expect(seen.changes).toContainEqual(expect.objectContaining({ key: 'group/a', value: 'new goal' }));
  expect(errors.length).toBe(1);
});

it('forgets what a decider that began anew does not know', async () => {
  const dir = await folder();
  const cache = join(dir, 'cache');
  const first = await startDecider(join(dir, 'state'));
  const { port } = first;
  for (const key of ['a', 'b', 'c']) await write(first.store, key, 0, 'old');
  const remote = await startFollower(port, cache);
  onTestFinished(() => remote.stop());
  const seen = watchAll(remote.store, '');
  await seen.until((changes) => changes.length === 3);
  await first.stop();

  const second = await startDecider(join(dir, 'state-anew'));
  await write(second.store, 'a', 0, 'new');
  await second.stop();
  const third = await startDecider(join(dir, 'state-anew'), port);
  onTestFinished(() => third.stop());
  await seen.until((changes) => changes.length === 6);
  expect(seen.changes.slice(3).map(({ key, value }) => ({ key, value }))).toEqual([
    { key: 'a', value: 'new' },
    { key: 'b', value: null },
    { key: 'c', value: null },
  ]);
});

it('starts without a cache that is damaged, and says so', async () => {
  const dir = await folder();
  const cache = join(dir, 'cache');
  await writeFile(cache, 'nonsense');
  const single = await startDecider(join(dir, 'state'));
  onTestFinished(() => single.stop());
  await write(single.store, 'a', 0, 1);
  const errors: unknown[] = [];
  const remote = await startFollower(single.port, cache, errors);
  onTestFinished(() => remote.stop());
  await watchAll(remote.store, '').until((changes) => changes.length === 1);
  expect(errors).toEqual([expect.objectContaining({ code: 'state-corrupt' })]);
});

it('goes on following when it cannot keep a copy', async () => {
  const dir = await folder();
  const single = await startDecider(join(dir, 'state'));
  onTestFinished(() => single.stop());
  const errors: unknown[] = [];
  const remote = await startFollower(single.port, join(dir, 'missing', 'cache'), errors);
  onTestFinished(() => remote.stop());
  const seen = watchAll(remote.store, '');
  await write(single.store, 'a', 0, 1);
  await seen.until((changes) => changes.length === 1);
  expect(errors).toEqual([expect.objectContaining({ code: 'ENOENT' })]);
  expect(await readdir(dir)).toEqual(['state']);
});
