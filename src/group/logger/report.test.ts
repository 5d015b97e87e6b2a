import { describe, expect, it } from 'vitest';
import type { LoggerStatus } from '../../wal/logger/logger.ts';
import type { Goal } from '../model.ts';
import { memberRecord, specOf } from '../testing/build.ts';
import type { Facts } from './next-step.ts';
import { reportOf, type ReportInput } from './report.ts';

const facts: Facts = { data: { incarnation: 2, empty: false }, debris: false, aside: false, process: 'ready', startedFor: 4, settings: 'same', promisedTerm: 3, answeredTerm: 0, following: null, current: true };
const upstream: LoggerStatus['upstream'] = { host: 'a', port: 1, term: 3, applicationName: 'l1@3', slot: 's', state: 'streaming', heardMs: 7, error: null };
const status: LoggerStatus = {
  term: 3, walTerm: 2, timeline: 2, flushed: '0/20', pid: 9, port: 5, systemIdentifier: '7', serverVersion: '18', segmentSize: 1, oldest: null, bytes: 0, rss: 0, upstream,
  followers: [
    { name: 'n2@3', remote: 'x', timeline: 2, sent: '0/20', write: '0/18', flush: '0/18', apply: '0/10' },
    { name: 'pg_receivewal', remote: 'x', timeline: 2, sent: '0/20', write: '0/18', flush: '0/18', apply: '0/0' },
  ],
};
const follow: Goal = { kind: 'follow', upstream: { member: 'n1', address: 'a', port: 1 }, slot: 's', name: 'l1@3' };

function input(patch: Partial<ReportInput> & { goal?: Goal } = {}): ReportInput {
  const { goal = follow, ...rest } = patch;
  return {
    place: { group: 'main', member: 'l1', host: 'h1' },
    orders: { goal, term: 3, record: memberRecord('l1'), spec: specOf(['n1', 'n2']), systemIdentifier: '6', addresses: [],
      engine: { major: 18, version: '18.0', bin: '/nowhere', source: 'folder', tools: new Set() },
    },
    facts, status, promised: null, pid: 9, step: { do: 'nothing', reached: true }, error: null, failures: 0, ...rest,
  };
}
const gone = { pid: null, status: null, facts: { ...facts, process: 'none' as const } };
const at = (state: NonNullable<LoggerStatus['upstream']>['state']): Partial<ReportInput> => ({ status: { ...status, upstream: { ...upstream, state, heardMs: null } } });

describe('the report of a logger', () => {
  it('tells what it has, whom it follows and who follows it', () => {
    expect(reportOf(input())).toMatchObject({
      member: 'l1', incarnation: 2, term: 3, restarts: 4, state: 'streaming', pid: 9, ready: true, inRecovery: null, systemIdentifier: '7', timeline: 2, lsn: '0/20', received: '0/20', streamingFrom: 'a:1',
      heardMs: 7, reached: 'follow', goalTerm: 3, sessions: null, lagMs: null,
      followers: [{ name: 'n2', term: 3, replay: '0/10', flush: '0/18', synchronous: false }, { name: 'pg_receivewal', term: null, replay: '0/0', flush: '0/18', synchronous: false }],
    });
  });

  it('names the term of its WAL when nobody is followed, and the promised one where there is none', () => {
    expect(reportOf(input({ status: { ...status, upstream: null } }))).toMatchObject({ term: 2, streamingFrom: null, heardMs: null });
    expect(reportOf(input({ status: { ...status, upstream: null, walTerm: 0, flushed: null } }))).toMatchObject({ term: 3, timeline: null, lsn: null });
  });

  it('claims a goal only when nothing is left to do', () => {
    expect(reportOf(input({ step: { do: 'follow' } })).reached).toBeNull();
    expect(reportOf(input({ step: { do: 'nothing', reached: false } })).reached).toBeNull();
    expect(reportOf(input({ goal: { kind: 'promise' }, promised: { term: 3, timeline: 2, lsn: '0/20' } }))).toMatchObject({ reached: 'promise', promised: { term: 3, timeline: 2, lsn: '0/20' } });
  });

  it.each<[string, Parameters<typeof input>[0]]>([
    ['streaming', {}],
    ['catching-up', at('catching-up')],
    ['catching-up', at('connecting')],
    ['failed', at('disk-full')],
    ['catching-up', { status: { ...status, upstream: null } }],
    ['starting', { facts: null, pid: null, status: null }],
    ['starting', { status: null }],
    ['starting', { ...gone, step: { do: 'start' } }],
    ['stopped', gone],
    ['failed', { ...gone, error: { code: 'port-in-use', message: 'm' }, failures: 1 }],
    ['stopping', { step: { do: 'stop' } }],
    ['attaching', { ...gone, step: { do: 'make-folder' } }],
    ['removing', { goal: { kind: 'remove' } }],
    ['removed', { ...gone, goal: { kind: 'remove' }, facts: { ...facts, data: null, process: 'none' } }],
  ])('calls it %s', (state, patch) => {
    expect(reportOf(input(patch)).state).toBe(state);
  });
});
