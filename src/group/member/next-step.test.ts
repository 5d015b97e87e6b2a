import { describe, expect, it } from 'vitest';
import type { Goal } from '../model.ts';
import { dataProven, nextStep, type Facts, type Step } from './next-step.ts';

const TERM = 5;
const GOALS: Goal[] = [
  { kind: 'create' },
  { kind: 'primary', slots: ['pgorbit_n2'], synchronousNames: '', change: 0 },
  { kind: 'follow', upstream: { member: 'n2', address: '127.0.0.1', port: 5433 }, slot: 'pgorbit_n1', name: 'n1@5' },
  { kind: 'promote', predecessors: [{ member: 'n2', host: 'h1' }], acceptLoss: false, synchronousNames: '', timeline: null, catchUp: null, atLeast: null, slots: [] },
  { kind: 'promise' },
  { kind: 'checkpoint' },
  { kind: 'drain', patient: false },
  { kind: 'drain', patient: true },
  { kind: 'stop' },
  { kind: 'remove' },
];
const goalOf = (kind: Goal['kind']): Goal => GOALS.find((goal) => goal.kind === kind)!;
const member = { name: 'n1', incarnation: 2, restarts: 3, renewal: 'fresh' as const };

const facts = (patch: Partial<Facts> = {}): Facts => ({
  data: { incarnation: 2, term: TERM, standbySignal: false, cleanStop: null }, stoppedAt: null, debris: false, aside: false, fencedTerm: null, process: 'ready', inRecovery: false,
  startedFor: 3, configured: true, accounts: true, slots: true, sessions: 0, checkpointed: false, promisedTerm: 0, promised: null, current: true, leased: true, mayGoOn: true, promotionAsked: false, rewindFailed: false, ...patch,
});
const next = (kind: Goal['kind'], patch: Partial<Facts> = {}): Step => nextStep({ goal: goalOf(kind), member, term: TERM, facts: facts(patch) });
const standby = { incarnation: 2, term: TERM, standbySignal: true, cleanStop: null };

/** What each step brings about when it succeeds. */
function after(before: Facts, step: Step): Facts {
  const running = { process: 'ready' as const, startedFor: member.restarts };
  const stopped = { process: 'none' as const, inRecovery: null, sessions: null };
  const made = (term: number, standbySignal: boolean): Facts['data'] => ({ incarnation: member.incarnation, term, standbySignal, cleanStop: null });
  switch (step.do) {
    case 'nothing': return before;
    case 'initdb': return { ...before, data: made(0, false), debris: false, fencedTerm: null, accounts: false };
    case 'set-up-accounts': return { ...before, accounts: true };
    case 'attach': return { ...before, data: made(TERM, true), debris: false, fencedTerm: null, slots: true };
    case 'rewind': return { ...before, data: made(TERM, true) };
    case 'promise': return { ...before, promisedTerm: TERM, promised: { term: TERM, timeline: 1, lsn: '0/1' } };
    case 'set-aside': return { ...before, data: null, debris: false, aside: before.data !== null, fencedTerm: null };
    case 'start': {
      const signal = step.as === 'standby' || before.data!.standbySignal;
      return { ...before, ...running, data: { ...before.data!, standbySignal: signal }, inRecovery: signal, configured: true, sessions: 0 };
    }
    case 'stop': return { ...before, ...stopped };
    case 'configure': return { ...before, configured: true };
    case 'sync-slots': return { ...before, slots: true };
    case 'mark-term': return { ...before, data: { ...before.data!, term: TERM } };
    case 'checkpoint': return { ...before, checkpointed: true };
    case 'take-over': return { ...before, data: { ...before.data!, term: TERM, standbySignal: false }, inRecovery: false };
    case 'remove': return { ...before, data: null, debris: false, aside: false, fencedTerm: null };
  }
}

/** Every combination of what an agent may find; only what cannot be is left out. */
function* everything(): Generator<Facts> {
  const datas: Facts['data'][] = [null];
  for (const incarnation of [1, 2]) for (const term of [TERM - 1, TERM]) for (const standbySignal of [true, false]) datas.push({ incarnation, term, standbySignal, cleanStop: null });
  const flags = [true, false];
  for (const data of datas) for (const debris of data === null ? flags : [false]) for (const aside of flags) for (const fencedTerm of [null, TERM - 1, TERM])
    for (const process of data === null ? (['none'] as const) : (['none', 'starting', 'ready', 'stopping'] as const)) {
      // Only a server that answers says whether it is in recovery, and how it is set up; the directory agrees with it.
      const answers = process === 'ready';
      for (const startedFor of [2, 3]) for (const configured of answers ? flags : [false]) for (const accounts of flags) for (const slots of answers ? flags : [false])
        for (const sessions of answers ? [0, 2] : [null]) for (const leased of flags) yield { data, stoppedAt: null, debris, aside, fencedTerm, process, inRecovery: answers ? data!.standbySignal : null, startedFor, configured, accounts, slots, sessions, checkpointed: false, promisedTerm: 0, promised: null, current: true, leased, mayGoOn: leased, promotionAsked: false, rewindFailed: false };
    }
}

/** Where a goal may rest without being reached, and why. */
const REFUSALS: Partial<Record<Goal['kind'], (facts: Facts, error: string) => boolean>> = {
  // A standby's data make no new system.
  create: ({ data }, error) => error === 'unsafe' && data?.standbySignal === true,
  // A primary's data are never made anew, never a standby's, and not used under a fence.
  primary: ({ data, fencedTerm }, error) => (error === 'fenced' && fencedTerm === TERM) || (error === 'unsafe' && (data === null || data.incarnation !== 2 || data.standbySignal)),
  // Nothing to promote, or superseded.
  promote: ({ data, fencedTerm }, error) => (error === 'fenced' && fencedTerm === TERM) || (error === 'unsafe' && (data === null || data.incarnation !== 2)),
};

/** Where a goal may wait for somebody else: an event outside, or the decider's next word. */
function mayWait({ kind }: Goal, { process, sessions, startedFor, leased }: Facts): boolean {
  if (process === 'starting') return true;
  if (kind === 'primary') return process === 'none' && (startedFor === member.restarts || !leased);
  if (kind === 'promote') return process === 'none' && !leased;
  if (kind === 'checkpoint') return process !== 'ready';
  return kind === 'drain' && (process === 'stopping' || sessions !== 0);
}

/** Takes steps until there is none. @returns where that ends, and by which way. */
function settle(goal: Goal, start: Facts): { now: Facts; last: Extract<Step, { do: 'nothing' }> | null; path: string[] } {
  let now = start;
  const path: string[] = [];
  while (path.length < 9) {
    const step = nextStep({ goal, member, term: TERM, facts: now });
    if (step.do === 'nothing') return { now, last: step, path };
    path.push(step.do);
    now = after(now, step);
  }
  return { now, last: null, path };
}

function wellFormed(goal: Goal, start: Facts): boolean {
  const { now, last } = settle(goal, start);
  if (last === null) return false;
  if (last.reached) return true;
  return last.error === undefined ? mayWait(goal, now) : REFUSALS[goal.kind]?.(now, last.error.code) === true;
}

/** May this step be taken, whatever else is the case? */
function allowed(goal: Goal, { data, process, fencedTerm }: Facts, step: Step): boolean {
  const accepts = goal.kind === 'primary' || goal.kind === 'promote';
  if (accepts && fencedTerm === TERM) return step.do === 'nothing' || step.do === 'stop';
  switch (step.do) {
    case 'remove': return goal.kind === 'remove' && process === 'none';
    case 'set-aside': return goal.kind === 'follow' && process === 'none' && (data === null || data.incarnation < member.incarnation);
    case 'initdb': return goal.kind === 'create' && process === 'none' && data === null;
    case 'attach': return goal.kind === 'follow' && process === 'none' && data === null;
    case 'start': return process === 'none' && data !== null && goal.kind !== 'promise';
    default: return true;
  }
}

describe('from wherever a member is', () => {
  it.each(GOALS.map((goal) => [goal.kind, goal] as const))('the goal %s is reached, refused for a known reason, or waits for something that comes', (_, goal) => {
    const all = [...everything()];
    expect(all.length).toBeGreaterThan(500);
    expect(all.filter((start) => !wellFormed(goal, start)).map((start) => ({ start, ...settle(goal, start) }))).toEqual([]);
  });

  it.each(GOALS.map((goal) => [goal.kind, goal] as const))('no step towards %s deletes, moves, starts or accepts writes where it may not', (_, goal) => {
    const steps = [...everything()].map((start) => ({ start, step: nextStep({ goal, member, term: TERM, facts: start }) }));
    expect(steps.filter(({ start, step }) => !allowed(goal, start, step))).toEqual([]);
  });
});

describe('a step', () => {
  it('stops a primary whose lease is over at once, and starts none', () => {
    expect(next('primary', { leased: false, mayGoOn: false })).toEqual({ do: 'stop', mode: 'immediate' });
    expect(next('primary', { leased: false, mayGoOn: false, process: 'starting' })).toEqual({ do: 'stop', mode: 'immediate' });
    expect(next('primary', { leased: false, mayGoOn: false, process: 'none', startedFor: 2 })).toEqual({ do: 'nothing', reached: false });
    expect(next('primary', { leased: false, current: false }), 'found by an agent that has just begun').toEqual({ do: 'nothing', reached: false });
    expect(next('primary', { leased: false, process: 'none', startedFor: 2 }), 'nothing is started on trust').toEqual({ do: 'nothing', reached: false });
  });

  it('obeys no orders from before a promise', () => {
    for (const goal of GOALS) expect(nextStep({ goal, member, term: TERM, facts: facts({ promisedTerm: TERM + 1 }) })).toEqual({ do: 'nothing', reached: false });
  });

  it('obeys nothing before its agent knows the newest orders', () => {
    for (const goal of GOALS) expect(nextStep({ goal, member, term: TERM, facts: facts({ current: false }) })).toEqual({ do: 'nothing', reached: false });
  });

  it('promises once a term, and never while it accepts writes or is about to follow', () => {
    expect(next('promise', { data: standby, inRecovery: true })).toEqual({ do: 'promise' });
    expect(next('promise')).toEqual({ do: 'stop', mode: 'immediate' });
    expect(next('promise', { data: standby, inRecovery: true, promotionAsked: true }), 'a promotion can not be taken back').toEqual({ do: 'stop', mode: 'immediate' });
    expect(next('follow', { data: standby, inRecovery: true, promotionAsked: true })).toEqual({ do: 'stop', mode: 'immediate' });
    expect(next('promise', { data: standby, process: 'starting', inRecovery: null })).toEqual({ do: 'nothing', reached: false });
    expect(next('promise', { process: 'none', inRecovery: null, promisedTerm: TERM })).toEqual({ do: 'promise' });
    expect(next('promise', { process: 'none', inRecovery: null, promisedTerm: TERM, promised: { term: TERM, timeline: 1, lsn: '0/1' } })).toEqual({ do: 'nothing', reached: true });
  });

  it('puts older data right where that is wished and possible, and copies them anew otherwise', () => {
    const old = { data: { ...standby, incarnation: 1 }, process: 'none' as const, inRecovery: null };
    const renewed = (renewal: 'rewind' | 'fresh', patch: Partial<Facts> = {}): Step => nextStep({ goal: goalOf('follow'), member: { ...member, renewal }, term: TERM, facts: facts({ ...old, ...patch }) });
    expect(renewed('rewind')).toEqual({ do: 'rewind' });
    expect(renewed('rewind', { process: 'ready' })).toEqual({ do: 'stop', mode: 'fast' });
    expect(renewed('rewind', { rewindFailed: true })).toEqual({ do: 'set-aside' });
    expect(renewed('rewind', { data: null, debris: true })).toEqual({ do: 'set-aside' });
    expect(renewed('fresh')).toEqual({ do: 'set-aside' });
  });

  it('starts a primary once for each number of restarts', () => {
    expect(next('primary', { process: 'none', startedFor: 2 })).toEqual({ do: 'start', as: 'primary' });
    expect(next('primary', { process: 'none', startedFor: 3 })).toEqual({ do: 'nothing', reached: false });
    expect(next('primary', { startedFor: 2 })).toEqual({ do: 'stop', mode: 'fast' });
  });

  it('takes over with what was a primary only after it has become a standby', () => {
    const old = { incarnation: 2, term: TERM - 1, standbySignal: false, cleanStop: false };
    expect(next('promote', { process: 'none', data: old })).toEqual({ do: 'start', as: 'standby' });
    expect(next('promote', { data: old })).toEqual({ do: 'stop', mode: 'fast' });
    expect(next('promote', { process: 'none' }), 'promoted in this term before it crashed').toEqual({ do: 'start', as: 'primary' });
  });

  it('drops the slots of an old primary when it follows', () => {
    expect(next('follow', { data: standby, inRecovery: true, slots: false })).toEqual({ do: 'sync-slots' });
  });

  it('brings a patient stop to its end when the member is wanted again', () => {
    expect(next('follow', { data: standby, process: 'stopping' })).toEqual({ do: 'stop', mode: 'fast' });
  });

  it('needs nothing that was set aside once it streams, or is the primary: one promoted before it ever streamed as well', () => {
    expect(GOALS.filter((goal) => dataProven(goal, 'h2:5433')).map(({ kind }) => kind)).toEqual(['primary', 'follow']);
    expect(GOALS.filter((goal) => dataProven(goal, null)).map(({ kind }) => kind)).toEqual(['primary']);
  });

  it('removes what was set aside with the member', () => {
    expect(next('remove', { data: null, process: 'none', aside: true })).toEqual({ do: 'remove' });
    expect(next('remove', { data: null, process: 'none' })).toEqual({ do: 'nothing', reached: true });
  });
});
