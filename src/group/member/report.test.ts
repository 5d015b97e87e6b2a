import { describe, expect, it } from 'vitest';
import type { Goal } from '../model.ts';
import { memberRecord, specOf } from '../testing/build.ts';
import type { Facts } from './next-step.ts';
import type { Observation } from './observe.ts';
import type { Place } from './place.ts';
import { reportOf, type ReportInput } from './report.ts';

const facts: Facts = {
  data: { incarnation: 2, term: 3, standbySignal: true, cleanStop: true }, stoppedAt: null, debris: false, aside: false, fencedTerm: null, process: 'ready', inRecovery: true,
  startedFor: 4, configured: true, accounts: true, slots: true, sessions: 0, checkpointed: false, promisedTerm: 0, promised: null, current: true, leased: true, mayGoOn: true, promotionAsked: false, rewindFailed: false,
};
const observation: Observation = {
  inRecovery: true, timeline: 2, lsn: '0/10', received: '0/20', streamingFrom: 'a:1', heardMs: 7, lagMs: 5, sessions: 1, systemIdentifier: '7', synchronousNames: null, retained: {}, followers: [], slots: [], pendingRestart: ['port'],
};
const follow: Goal = { kind: 'follow', upstream: { member: 'n1', address: 'a', port: 1 }, slot: 's', name: 'n2@3' };

function input(patch: Partial<ReportInput> & { goal?: Goal } = {}): ReportInput {
  const { goal = follow, ...rest } = patch;
  return {
    place: { group: 'main', member: 'n2', host: 'h1' } as Place,
    orders: { goal, term: 3, record: memberRecord('n2'), spec: specOf(['n1', 'n2']), systemIdentifier: '6', addresses: [],
      engine: { major: 18, version: '18.0', bin: '/nowhere', source: 'folder', tools: new Set() },
    },
    facts, observation, pid: 9, step: { do: 'nothing', reached: true }, doing: null, error: null, failures: 0, systemIdentifier: null, history: null, ...rest,
  };
}
const gone = { pid: null, observation: null, facts: { ...facts, process: 'none' as const } };

describe('reportOf', () => {
  it('tells what is on disk, what runs and which orders it is about', () => {
    expect(reportOf(input())).toMatchObject({ member: 'n2', incarnation: 2, term: 3, restarts: 4, pid: 9, ready: true, reached: 'follow', goalTerm: 3, systemIdentifier: '7', pendingRestart: ['port'] });
    expect(reportOf(input({ facts: null, observation: null, pid: null }))).toMatchObject({ incarnation: 0, term: 0, ready: false, state: 'starting' });
  });

  it('claims a goal only when nothing is left to do', () => {
    expect(reportOf(input({ step: { do: 'configure' } })).reached).toBeNull();
    expect(reportOf(input({ step: { do: 'nothing', reached: false } })).reached).toBeNull();
  });

  it('says how it was stopped only from a look at what the dead left', () => {
    expect(reportOf(input(gone)).cleanStop).toBe(true);
    expect(reportOf(input({ ...gone, facts })).cleanStop, 'facts of its lifetime').toBeNull();
    expect(reportOf(input()).cleanStop).toBeNull();
  });

  it.each<[string, Parameters<typeof input>[0]]>([
    ['streaming', {}],
    ['catching-up', { observation: { ...observation, streamingFrom: null } }],
    ['running', { observation: { ...observation, inRecovery: false } }],
    ['starting', { observation: null }],
    ['stopping', { step: { do: 'stop', mode: 'fast' } }],
    ['promoting', { goal: { kind: 'promote', predecessors: [], acceptLoss: false, synchronousNames: '', timeline: null, catchUp: null, atLeast: null, slots: [] } }],
    ['stopped', gone],
    ['starting', { ...gone, step: { do: 'start', as: 'standby' } }],
    ['attaching', { ...gone, step: { do: 'attach' } }],
    ['creating', { ...gone, goal: { kind: 'create' } }],
    ['failed', { ...gone, error: { code: 'postgres-failed', message: 'x' }, failures: 1 }],
    ['fenced', { ...gone, error: { code: 'fenced', message: 'x' }, failures: 1 }],
    ['removing', { ...gone, goal: { kind: 'remove' } }],
    ['removing', { ...gone, facts: { ...gone.facts, data: null, aside: true }, goal: { kind: 'remove' } }],
    ['removed', { ...gone, facts: { ...gone.facts, data: null }, goal: { kind: 'remove' } }],
  ])('is %s', (state, patch) => {
    expect(reportOf(input(patch)).state).toBe(state);
  });
});
