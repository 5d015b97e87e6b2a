/**
 * Agents that crash, freeze and lose messages while every one of them writes. Each writer appends its own mark to one
 * shared list by compare-and-set: what was acknowledged is in the list at the end, once; what was refused is not.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { seeded } from './core/testing/node.ts';
import { PgorbitError } from '../errors.ts';
import { TestCluster } from './testing/cluster.ts';

let cluster: TestCluster;
afterEach(async () => {
  await cluster.stop();
});

interface Marks {
  acknowledged: string[];
  refused: string[];
}

/** One attempt to append `mark` through `name`; reads and lists never go backwards for whoever has seen more. */
async function append(name: string, mark: string, marks: Marks, seen: { length: number }): Promise<void> {
  const store = cluster.store(name);
  try {
    const floor = seen.length;
    const current = await store.read('list');
    const list = (current?.value ?? []) as string[];
    if (list.length < floor) throw new Error(`${name} read ${list.length} marks after ${floor} had been seen`);
    seen.length = Math.max(seen.length, list.length);
    const result = await store.compareAndSet('list', current?.revision ?? 0, [...list, mark]);
    (result.ok ? marks.acknowledged : marks.refused).push(mark);
    if (result.ok) seen.length = Math.max(seen.length, list.length + 1);
  } catch (error) {
    // Nobody promised anything.
    if (!(error instanceof PgorbitError)) throw error;
  }
}

async function disturb(draw: (limit: number) => number): Promise<void> {
  const names = cluster.names();
  const name = names[draw(names.length)]!;
  const leading = cluster.up().find((each) => cluster.store(each).leadership().self) ?? name;
  const victim = draw(2) === 0 ? leading : name;
  switch (draw(8)) {
    case 0:
    case 1:
      if (cluster.up().includes(victim)) await cluster.crash(victim);
      break;
    case 2:
    case 3:
      for (const each of names) if (!cluster.up().includes(each)) cluster.restart(each);
      break;
    case 4:
      cluster.partition(names.filter(() => draw(2) === 0));
      break;
    case 5:
      cluster.heal();
      break;
    case 6:
      cluster.freeze(victim);
      break;
    case 7:
      for (const each of names) cluster.thaw(each);
  }
}

describe.each([3, 5])('a change acknowledged by %i agents', (size) => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('is never lost, and a refused one never happens (seed %i)', async (seed) => {
    const draw = seeded(seed * 1000 + size);
    const names = ['a', 'b', 'c', 'd', 'e'].slice(0, size);
    cluster = await TestCluster.of(names, { seed, loss: 3, requestMs: 3000, compactAfter: { entries: 25, characters: 1e9 } });
    const marks: Marks = { acknowledged: [], refused: [] };
    const seen = { length: 0 };
    const writes: Promise<void>[] = [];
    for (let step = 0; step < 90; step += 1) {
      for (const name of cluster.up()) if (draw(2) === 0) writes.push(append(name, `${step}-${name}`, marks, seen));
      await cluster.advance(50 + draw(500));
      if (draw(5) === 0) await disturb(draw);
    }
    cluster.heal();
    for (const name of names) {
      cluster.thaw(name);
      if (!cluster.up().includes(name)) cluster.restart(name);
    }
    await cluster.during(Promise.all(writes));
    const final = (await cluster.during(cluster.store('a').read('list')))!.value as string[];
    expect(new Set(final).size).toBe(final.length);
    expect(marks.acknowledged.filter((mark) => !final.includes(mark))).toEqual([]);
    expect(marks.refused.filter((mark) => final.includes(mark))).toEqual([]);
    expect(marks.acknowledged.length).toBeGreaterThan(5);
    expect(cluster.fatal).toEqual([]);
    expect(cluster.errors).toEqual([]);
  }, 60_000);
});
