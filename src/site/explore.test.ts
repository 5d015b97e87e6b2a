/** Every order in which two sites may hear, decide, stop, fail and be asked, within bounds: what must never happen does not. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { copyOf, events, founded, keyOf, other, type Name, type World } from './testing/world.ts';

const EVERYTHING = process.env['PGORBIT_TESTS'] === 'all';
/** Worlds that one exploration looks at. */
const MOST = EVERYTHING ? 300_000 : 6_000;

const accepts = (world: World, name: Name): boolean => world[name].server === 'writing' || world[name].server === 'checkpointed';

/** What is wrong with the world, or null. */
function wrong(world: World, before: World): string | null {
  const both = accepts(world, 'a') && accepts(world, 'b');
  if (world.a.document.role === 'primary' && world.b.document.role === 'primary' && world.a.document.epoch === world.b.document.epoch) return 'two primaries of one epoch';
  for (const name of ['a', 'b'] as const) {
    if (world[name].document.epoch < before[name].document.epoch) return `${name} went back in epochs`;
    // Who begins to write has everything that was promised, unless a person has said that it is lost.
    const begins = accepts(world, name) && !accepts(before, name);
    if (!world.forced && begins && !world.acknowledged.every((write) => world[name].wal.includes(write))) return `${name} begins without ${world.acknowledged.filter((write) => !world[name].wal.includes(write)).join()}`;
    if (!world.forced && before[name].wal.some((write, i) => world[name].wal[i] !== write)) return `${name} took something back`;
  }
  if (!world.forced && both) return 'both accept writes';
  if (!world.forced && world.a.document.role === 'primary' && world.b.document.role === 'primary') return 'both are primary';
  return null;
}

/** Both hear the other, decide and settle, as often as it takes. */
function calm(world: World): World {
  const next = copyOf(world);
  for (let before = ''; before !== keyOf(next);) {
    before = keyOf(next);
    for (const name of ['a', 'b'] as const) {
      for (const what of ['asks', 'hears', 'decides', 'is ', 'receives', 'receives', 'receives']) {
        const found = events(next).find((one) => one.name.startsWith(`${name} ${what}`) && !one.name.includes('asked') && !one.name.includes('forced'));
        found?.apply(next);
      }
    }
  }
  return next;
}

function step(world: World, event: { name: string; apply: (world: World) => void }, path: () => string[]): World {
  const after = copyOf(world);
  event.apply(after);
  const found = wrong(after, world);
  if (found !== null) throw new Error(`${found}, after: ${path().join(', ')}\n${keyOf(after)}`);
  return after;
}

interface Reached {
  world: World;
  event: string;
  from: Reached | null;
}

const pathOf = (reached: Reached | null): string[] => (reached === null || reached.from === null ? [] : [...pathOf(reached.from), reached.event]);

/** Breadth first, each world once. */
function explore(start: World): { seen: number; outcomes: Set<string> } {
  const seen = new Set([keyOf(start)]);
  const outcomes = new Set<string>();
  let frontier: Reached[] = [{ world: start, event: '', from: null }];
  while (frontier.length > 0 && seen.size < MOST) {
    const next: Reached[] = [];
    for (const reached of frontier) {
      for (const event of events(reached.world)) {
        const after = step(reached.world, event, () => [...pathOf(reached), event.name]);
        const key = keyOf(after);
        if (seen.has(key)) continue;
        seen.add(key);
        outcomes.add(`${after.a.document.role}/${after.b.document.role}`);
        next.push({ world: after, event: event.name, from: reached });
      }
    }
    frontier = next;
  }
  for (const reached of frontier.filter((_, i) => i % Math.ceil(frontier.length / 40) === 0)) settled(reached.world, pathOf(reached));
  return { seen: seen.size, outcomes };
}

function settled(world: World, path: readonly string[]): void {
  const end = calm(world);
  const primary = (['a', 'b'] as const).filter((name) => accepts(end, name));
  if (primary.length !== 1) throw new Error(`${primary.length} sites accept writes in the end, after: ${path.join(', ')}\n${keyOf(end)}`);
  const name = primary[0]!;
  expect(end[other(name)].wal, path.join(', ')).toEqual(end[name].wal);
  expect(end[other(name)].document.epoch, path.join(', ')).toBe(end[name].document.epoch);
}

test('nothing acknowledged is lost by switchovers, withdrawals, crashes and failed stops, and never do both accept writes', () => {
  const { seen, outcomes } = explore(founded({ writes: 1, wishes: 2, crashes: 1, falls: 1, forces: 0 }));
  expect(seen).toBeGreaterThan(5_000);
  expect([...outcomes].sort()).toEqual(['primary/standby', 'standby/primary', 'standby/standby']);
}, 120_000);

test('likewise from the moment on at which the other has taken over and the first has not heard of it', () => {
  let world = founded({ writes: 1, wishes: 2, crashes: 1, falls: 1, forces: 0 });
  for (const name of ['a asks', 'a hears', 'a is asked for b', 'a is checkpointed', 'a decides', 'a is down', 'a decides', 'a is following', 'b asks', 'b hears', 'b decides']) {
    const event = events(world).find((one) => one.name === name);
    if (event === undefined) throw new Error(`${name} can't happen`);
    world = step(world, event, () => [name]);
  }
  expect([world.a.document.role, world.b.document.role]).toEqual(['standby', 'primary']);
  expect(explore(world).seen).toBeGreaterThan(5_000);
}, 120_000);

test('with promotions by force there are never two primaries of one epoch', () => {
  expect(explore(founded({ writes: 1, wishes: 1, crashes: 0, falls: 0, forces: 2 })).outcomes).toContain('primary/primary');
}, 120_000);

test.each([[0], [2]])('long walks with %i promotions by force end with one primary and a copy of it', (forces) => {
  const choice = fc.record({ which: fc.nat(), rare: fc.nat(9).map((n) => n === 0) });
  let changes = 0;
  fc.assert(fc.property(fc.array(choice, { minLength: 50, maxLength: 250, size: 'max' }), (choices) => {
    let world = founded({ writes: 6, wishes: 6, crashes: 4, falls: 2, forces });
    const path: string[] = [];
    for (const { which, rare } of choices) {
      const all = events(world);
      const some = all.filter((one) => (one.rare === true) === rare);
      const event = (some.length > 0 ? some : all)[which % (some.length || all.length)]!;
      path.push(event.name);
      world = step(world, event, () => path);
    }
    changes = Math.max(changes, world.a.document.epoch);
    settled(world, path);
  }), { numRuns: EVERYTHING ? 20_000 : 500, endOnFailure: true });
  // They do walk.
  expect(changes).toBeGreaterThan(2);
}, 300_000);
