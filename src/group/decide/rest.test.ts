import { expect, it } from 'vitest';
import { GROUP } from '../../manifest/defaults.ts';
import { Scene } from '../testing/build.ts';
import { restOfDecider } from './rest.ts';

it('decides again when somebody will have been silent for long enough, and once a second', () => {
  const scene = new Scene();
  expect(GROUP.electionTimeoutMs).toBe(2_000);
  const rest = (silence: number): number => {
    const input = scene.input();
    const n1 = input.seen['n1']!;
    return restOfDecider({ ...input, seen: { ...input.seen, n1: { ...n1, at: input.now - silence } } });
  };
  expect(rest(0)).toBe(1_000);
  expect(rest(1_500), 'its lease is over then').toBe(400);
  expect(rest(1_900)).toBe(100);
  expect(rest(1_999.5)).toBe(1);
  expect(rest(2_000)).toBe(1_000);
  scene.spec.electionDelayMs = 700;
  expect(rest(2_000)).toBe(700);
  expect(restOfDecider({ ...scene.input(), leaderFor: 1_800 }), 'what an earlier leader granted is over then').toBe(100);
});

it('decides often while somebody takes over', () => {
  const scene = new Scene();
  scene.report('n1', { pid: null, ready: false, cleanStop: false }).decide();
  expect(scene.record?.promotion).not.toBeNull();
  expect(restOfDecider(scene.input())).toBe(100);
});
