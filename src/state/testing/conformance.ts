/**
 * What every StateStore has to do, as tests: call `storeConformance` inside a vitest file of each implementation.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import type { StateStore, Versioned } from '../store.ts';

/** A fresh, empty store; `close` also removes what was made for it. */
export interface StoreUnderTest {
  store: StateStore;
  close(): Promise<void>;
}

type Seen = Parameters<Parameters<StateStore['watch']>[1]>[0];

export function storeConformance(name: string, make: () => Promise<StoreUnderTest>): void {
  const fresh: Fresh = async () => {
    const { store, close } = await make();
    onTestFinished(close);
    return store;
  };
  documentTests(name, fresh);
  compareAndSetTests(name, fresh);
  watchTests(name, fresh);
  it(`${name}: knows its leader`, async () => {
    const store = await fresh();
    expect(store.leadership().leader).toEqual(expect.any(String));
    expect(store.leadership().term).toBeGreaterThan(0);
  });
}

type Fresh = () => Promise<StateStore>;

function documentTests(name: string, fresh: Fresh): void {
  describe(`${name}: documents`, () => {
    it('reads null for what was never written', async () => {
      const store = await fresh();
      expect(await store.read('cluster')).toBeNull();
      expect(await store.list('')).toEqual([]);
    });

    it('reads what was written, with the revision that the write returned', async () => {
      const store = await fresh();
      const revision = await write(store, 'group/a', 0, { term: 1, primary: null });
      expect(revision).toBeGreaterThan(0);
      expect(await store.read('group/a')).toEqual({ key: 'group/a', revision, value: { term: 1, primary: null } });
    });

    it('keeps its own copy of a value', async () => {
      const store = await fresh();
      const value = { members: ['n1'] };
      await write(store, 'group/a', 0, value);
      value.members.push('n2');
      expect((await store.read('group/a'))?.value).toEqual({ members: ['n1'] });
    });

    it('lists by prefix', async () => {
      const store = await fresh();
      await write(store, 'cluster', 0, 1);
      await write(store, 'group/a', 0, 2);
      await write(store, 'group/b', 0, 3);
      expect((await store.list('group/')).map((document) => document.key).toSorted()).toEqual(['group/a', 'group/b']);
      expect((await store.list('')).length).toBe(3);
    });
  });
}

function compareAndSetTests(name: string, fresh: Fresh): void {
  describe(`${name}: compare and set`, () => {
    it('raises the revision with every change of any key', async () => {
      const store = await fresh();
      const first = await write(store, 'a', 0, 1);
      const second = await write(store, 'b', 0, 1);
      const third = await write(store, 'a', first, 2);
      expect(second).toBeGreaterThan(first);
      expect(third).toBeGreaterThan(second);
    });

    it('refuses an old revision, and tells the current document', async () => {
      const store = await fresh();
      const first = await write(store, 'a', 0, 'one');
      const second = await write(store, 'a', first, 'two');
      const current: Versioned = { key: 'a', revision: second, value: 'two' };
      expect(await store.compareAndSet('a', first, 'three')).toEqual({ ok: false, current });
      expect(await store.compareAndSet('a', 0, 'three')).toEqual({ ok: false, current });
      expect(await store.read('a')).toEqual(current);
    });

    it('refuses a revision of a document that does not exist', async () => {
      const store = await fresh();
      expect(await store.compareAndSet('a', 7, 1)).toEqual({ ok: false, current: null });
    });

    it('lets one of many writers through', async () => {
      const store = await fresh();
      const first = await write(store, 'a', 0, 'start');
      const results = await Promise.all(['x', 'y', 'z'].map((value) => store.compareAndSet('a', first, value)));
      expect(results.filter((result) => result.ok).length).toBe(1);
    });

    it('deletes with null, after which the document can be made anew', async () => {
      const store = await fresh();
      const first = await write(store, 'a', 0, 1);
      const gone = await write(store, 'a', first, null);
      expect(gone).toBeGreaterThan(first);
      expect(await store.read('a')).toBeNull();
      expect(await store.list('')).toEqual([]);
      expect(await store.compareAndSet('a', first, 2)).toEqual({ ok: false, current: null });
      expect(await write(store, 'a', 0, 2)).toBeGreaterThan(gone);
    });
  });
}

function watchTests(name: string, fresh: Fresh): void {
  describe(`${name}: watch`, () => {
    it('tells the present state first, then changes and deletions', async () => {
      const store = await fresh();
      const first = await write(store, 'group/a', 0, 1);
      const seen = watchAll(store, 'group/');
      await seen.until((changes) => changes.some((change) => change.key === 'group/a'));
      const second = await write(store, 'group/a', first, 2);
      await seen.until((changes) => changes.at(-1)?.revision === second);
      const third = await write(store, 'group/a', second, null);
      await seen.until((changes) => changes.at(-1)?.revision === third);
      expect(seen.changes).toEqual([
        { key: 'group/a', revision: first, value: 1 },
        { key: 'group/a', revision: second, value: 2 },
        { key: 'group/a', revision: third, value: null },
      ]);
    });

    it('tells nothing of other prefixes', async () => {
      const store = await fresh();
      const groups = watchAll(store, 'group/');
      const everything = watchAll(store, '');
      await write(store, 'cluster', 0, 1);
      const last = await write(store, 'group/a', 0, 1);
      await everything.until((changes) => changes.at(-1)?.revision === last);
      await groups.until((changes) => changes.length > 0);
      expect(groups.changes.map((change) => change.key)).toEqual(['group/a']);
    });

    it('ends with the newest value of a document that changes often, and never goes back', async () => {
      const store = await fresh();
      const seen = watchAll(store, '');
      let revision = 0;
      for (let value = 1; value <= 20; value++) revision = await write(store, 'a', revision, value);
      await seen.until((changes) => changes.at(-1)?.value === 20);
      const revisions = seen.changes.map((change) => change.revision);
      expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
    });

    it('is silent once it is stopped, while other watchers go on', async () => {
      const store = await fresh();
      const stopped = watchAll(store, '');
      const other = watchAll(store, '');
      const first = await write(store, 'a', 0, 1);
      await stopped.until((changes) => changes.length === 1);
      stopped.stop();
      const second = await write(store, 'a', first, 2);
      await other.until((changes) => changes.at(-1)?.revision === second);
      expect(stopped.changes.length).toBe(1);
    });

    it('goes on for others when one callback throws', async () => {
      const store = await fresh();
      const stop = store.watch('', () => {
        throw new Error('a watcher that fails');
      });
      onTestFinished(stop);
      const other = watchAll(store, '');
      await write(store, 'a', 0, 1);
      await other.until((changes) => changes.length > 0);
      expect(other.changes.map((change) => change.value)).toEqual([1]);
    });
  });
}

/** A write that has to succeed. */
export async function write(store: StateStore, key: string, revision: number, value: unknown): Promise<number> {
  const result = await store.compareAndSet(key, revision, value);
  expect(result).toMatchObject({ ok: true });
  return result.ok ? result.revision : 0;
}

/** Collects what a watcher is told; `until` resolves once the condition holds. */
export function watchAll(store: StateStore, prefix: string): { changes: Seen[]; until(condition: (changes: Seen[]) => boolean): Promise<void>; stop(): void } {
  const changes: Seen[] = [];
  let look: (() => void) | undefined;
  const stop = store.watch(prefix, (change) => {
    changes.push(change);
    look?.();
  });
  onTestFinished(stop);
  return {
    changes,
    stop,
    until: (condition) =>
      new Promise((resolve) => {
        look = () => {
          if (condition(changes)) resolve();
        };
        look();
      }),
  };
}
