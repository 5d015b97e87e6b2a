import { describe, expect, it } from 'vitest';
import type { Goal } from '../model.ts';
import { nextStep, type Facts, type Step } from './next-step.ts';

const TERM = 5;
const GOALS = {
  create: { kind: 'create' },
  primary: { kind: 'primary', slots: [], synchronousNames: '', change: 0 },
  follow: { kind: 'follow', upstream: { member: 'n1', address: '127.0.0.1', port: 5433 }, slot: 'pgorbit_l1', name: 'l1@5' },
  promise: { kind: 'promise' },
  promote: { kind: 'promote', predecessors: [], acceptLoss: false, synchronousNames: '', timeline: 2, catchUp: null, atLeast: null, slots: [] },
  checkpoint: { kind: 'checkpoint' },
  drain: { kind: 'drain', patient: true },
  stop: { kind: 'stop' },
  remove: { kind: 'remove' },
} satisfies { [kind in Goal['kind']]: Extract<Goal, { kind: kind }> };
const member = { name: 'l1', incarnation: 2, restarts: 3, joined: true };
const following = { host: '127.0.0.1', port: 5433, slot: 'pgorbit_l1', name: 'l1@5', term: TERM };
const facts = (patch: Partial<Facts> = {}): Facts => ({
  data: { incarnation: 2, empty: false }, debris: false, aside: false, process: 'ready', startedFor: 3, settings: 'same', promisedTerm: TERM, answeredTerm: TERM, following, current: true, ...patch,
});
const next = (kind: Goal['kind'], patch: Partial<Facts> = {}, who: Partial<typeof member> = {}): Step =>
  nextStep({ goal: GOALS[kind], member: { ...member, ...who }, term: TERM, facts: facts(patch) });
const reached = { do: 'nothing', reached: true };
const waiting = { do: 'nothing', reached: false };
const down = { process: 'none', following: null, promisedTerm: 0, answeredTerm: 0 } as const;

/** What each step brings about when it succeeds. */
function after(before: Facts, step: Step): Facts {
  switch (step.do) {
    case 'nothing': return before;
    case 'make-folder': return { ...before, data: { incarnation: member.incarnation, empty: true } };
    case 'set-aside': return { ...before, data: null, debris: false, aside: before.data !== null };
    case 'start': return { ...before, process: 'ready', startedFor: member.restarts, settings: 'same' };
    case 'stop': return { ...before, ...down };
    case 'tune': return { ...before, settings: 'same' };
    case 'follow': return { ...before, following, promisedTerm: TERM };
    case 'promise': return { ...before, promisedTerm: TERM, answeredTerm: TERM, following: null };
    case 'remove': return { ...before, data: null, debris: false, aside: false };
  }
}

describe('the next step of a logger', () => {
  it.each<[Goal['kind'], Partial<Facts>, object]>([
    // Begun anew, one thing after the other.
    ['follow', { ...down, data: null }, { do: 'make-folder' }],
    ['follow', { ...down, data: null, debris: true }, { do: 'set-aside' }],
    ['follow', { ...down, data: { incarnation: 1, empty: false } }, { do: 'set-aside' }],
    ['follow', { data: { incarnation: 1, empty: false } }, { do: 'stop' }],
    ['follow', down, { do: 'start' }],
    ['follow', { process: 'starting' }, waiting],
    ['follow', { process: 'stopping' }, { do: 'stop' }],
    // Settings.
    ['follow', { startedFor: 2 }, { do: 'stop' }],
    ['follow', { settings: 'restart' }, { do: 'stop' }],
    ['follow', { settings: 'tune' }, { do: 'tune' }],
    // The upstream, exactly.
    ['follow', {}, reached],
    ['follow', { following: null }, { do: 'follow' }],
    ['follow', { following: { ...following, term: 4 } }, { do: 'follow' }],
    ['follow', { following: { ...following, port: 1 } }, { do: 'follow' }],
    ['follow', { following: { ...following, name: 'l1@4' } }, { do: 'follow' }],
    ['follow', { following: { ...following, slot: null } }, { do: 'follow' }],
    // A promise: nothing is begun anew, nothing restarted for the sake of settings.
    ['promise', down, { do: 'start' }],
    ['promise', { answeredTerm: 4, promisedTerm: 4 }, { do: 'promise' }],
    ['promise', { answeredTerm: 0, promisedTerm: TERM }, { do: 'promise' }],
    ['promise', { settings: 'restart', startedFor: 1 }, reached],
    ['promise', { data: { incarnation: 1, empty: false } }, { do: 'stop' }],
    // The rest.
    ['checkpoint', {}, reached],
    ['checkpoint', down, reached],
    ['drain', {}, { do: 'stop' }],
    ['stop', {}, { do: 'stop' }],
    ['stop', { process: 'starting' }, { do: 'stop' }],
    ['stop', down, reached],
    ['remove', {}, { do: 'stop' }],
    ['remove', down, { do: 'remove' }],
    ['remove', { ...down, data: null, aside: true }, { do: 'remove' }],
    ['remove', { ...down, data: null, debris: true }, { do: 'remove' }],
    ['remove', { ...down, data: null }, reached],
  ])('%s: %j', (kind, patch, step) => {
    expect(next(kind, patch)).toEqual(step);
  });

  it.each<Goal['kind']>(['create', 'primary', 'promote'])('refuses to %s', (kind) => {
    expect(next(kind)).toMatchObject({ do: 'nothing', reached: false, error: { code: 'unsafe' } });
  });

  it('refuses to go back behind a promise', () => {
    for (const kind of ['follow', 'promise'] as const) {
      expect(next(kind, { promisedTerm: 6, answeredTerm: 6, following: null })).toMatchObject({ reached: false, error: { code: 'unsafe' } });
    }
  });

  it('lets no voter that lost its WAL promise, and keeps one that is no voter quiet', () => {
    for (const lost of [{ data: null }, { data: { incarnation: 1, empty: false } }, { data: { incarnation: 2, empty: true } }]) {
      expect(next('promise', { ...down, ...lost })).toMatchObject({ reached: false, error: { code: 'unsafe' } });
      expect(next('promise', { ...down, ...lost }, { joined: false })).toEqual(waiting);
    }
  });

  it('reaches every goal that a logger can have from wherever it is', () => {
    const folders: Facts['data'][] = [null, { incarnation: 1, empty: false }, { incarnation: 2, empty: false }];
    for (const kind of ['follow', 'checkpoint', 'drain', 'stop', 'remove'] as const) {
      for (const data of folders) for (const process of ['none', 'ready', 'stopping'] as const) for (const settings of ['same', 'tune', 'restart'] as const) for (const debris of [false, true]) {
        let now = facts({ data, process, settings, debris: debris && data === null, startedFor: 0, following: null, promisedTerm: 0, answeredTerm: 0 });
        for (let left = 12; ; left--) {
          const step = nextStep({ goal: GOALS[kind], member, term: TERM, facts: now });
          if (step.do === 'nothing' && step.reached) break;
          expect(left, `${kind} ${JSON.stringify(now)} ${JSON.stringify(step)}`).toBeGreaterThan(0);
          now = after(now, step);
        }
      }
    }
  });
});
