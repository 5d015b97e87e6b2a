import { describe, expect, it } from 'vitest';
import { down, memberRecord, memberSpec, reportOn, Scene } from '../testing/build.ts';
import type { GroupRecord, MemberReport, Operation } from '../model.ts';
import { RULES } from './rules.ts';

const promotion = { candidate: 'n2', predecessors: [{ member: 'n1', host: 'h1' }], planned: false, attempts: 0, operation: null };
const failover = (): Scene => {
  const scene = new Scene().report('n1', down(false));
  scene.decide();
  return scene;
};

/** A quorum group on local storage: n1 the primary, n2 a replica, n3 a logger. */
class Quorum extends Scene {
  constructor(patch: Partial<GroupRecord> = { voters: ['n1', 'n2', 'n3'] }) {
    super();
    Object.assign(this.spec, { storage: 'local', volume: null, commit: 'quorum' });
    this.spec.members['n3'] = memberSpec('n3', { role: 'logger' });
    this.record = { ...this.record!, ...patch, members: { ...this.record!.members, n3: memberRecord('n3', { role: 'logger' }) } };
    this.followed('ANY 1 ("n2@1", "n3@1")');
  }

  /** The primary at 0/200 asks `names`, and its followers have flushed up to `flush`. */
  followed(names: string, flush = '0/200'): this {
    this.report('n1', { synchronousNames: names, lsn: '0/200', change: this.record!.voterChanges });
    this.flush = flush;
    return this;
  }

  lose(): this {
    this.decide();
    this.report('n1', down(false));
    for (const name of ['n2', 'n3']) this.report(name, { streamingFrom: null });
    this.decide();
    this.report('n1', { goalTerm: 2 });
    return this;
  }

  promise(name: string, lsn: string): this {
    return this.report(name, { promised: { term: 2, timeline: 1, lsn } });
  }

  goals(): Record<string, string> {
    return Object.fromEntries(Object.values(this.record!.members).map(({ name, goal }) => [name, goal.kind]));
  }
}

/** Tests by the rule's name; the last one sees to it that none is forgotten. */
const TESTS: Record<string, () => void> = {
  created() {
    const scene = new Scene(['n1', 'n2']);
    scene.record = null;
    scene.reports = {};
    expect(scene.decide().members['n1']?.goal).toEqual({ kind: 'create' });
    scene.report('n1', reportOn('n1', { reached: null }));
    expect(scene.decide().primary).toBeNull();
    scene.report('n1', { reached: 'create' });
    expect(scene.decide()).toMatchObject({ primary: 'n1', term: 1, systemIdentifier: '7' });
  },
  admit() {
    const scene = new Scene(['n1']);
    scene.spec.members['n2'] = memberSpec('n2');
    scene.report('n1', { ready: false });
    expect(scene.decide().members['n2']).toBeUndefined();
    scene.report('n1', { ready: true });
    scene.report('n2', { state: 'removed' });
    expect(scene.decide().members['n2'], 'its namesake was there a moment ago').toBeUndefined();
    delete scene.reports['n2'];
    expect(scene.decide().members).toMatchObject({ n1: { goal: { slots: ['pgorbit_n2'] } }, n2: { joined: false, goal: { kind: 'follow', upstream: { member: 'n1' } } } });
  },
  amend() {
    const scene = new Scene();
    scene.spec.members['n1'] = memberSpec('n1', { port: 7000 });
    expect(scene.decide().members).toMatchObject({ n1: { port: 7000, restarts: 2 }, n2: { restarts: 1, goal: { upstream: { port: 7000 } } } });
  },
  forget() {
    const scene = new Scene();
    delete scene.spec.members['n3'];
    expect(scene.decide().members['n3']?.goal).toEqual({ kind: 'remove' });
    scene.report('n3', { ...down(true), state: 'removed' });
    expect(Object.keys(scene.decide().members)).toEqual(['n1', 'n2']);
  },
  promoted() {
    const scene = failover();
    scene.report('n2', { inRecovery: false, term: 1, goalTerm: 2 });
    expect(scene.decide().primary, 'not before its data are of the new term').toBeNull();
    scene.report('n2', { term: 2, timeline: 3, history: [{ timeline: 2, begin: '0/80' }, { timeline: 3, begin: '0/90' }] });
    expect(scene.decide()).toMatchObject({ primary: 'n2', promotion: null, term: 2, timelines: [{ timeline: 2, begin: '0/80' }, { timeline: 3, begin: '0/90' }], members: { n1: { incarnation: 2, joined: false, goal: { kind: 'follow', upstream: { member: 'n2' } } }, n3: { incarnation: 1 } } });
  },
  'promotion-failed'() {
    const scene = failover();
    expect(scene.decide(14_000).promotion?.candidate).toBe('n2');
    expect(scene.decide(2_000), 'who is given up is fenced and replayed by the next').toMatchObject({ term: 3, promotion: { candidate: 'n3', predecessors: [{ member: 'n1' }, { member: 'n2' }] } });
    scene.report('n2', down(true)).report('n3', { failures: 2, goalTerm: 3 });
    expect(scene.decide().term, 'the second one waits a moment').toBe(3);
    expect(scene.decide(500), 'the old primary is the last resort').toMatchObject({ term: 4, primary: null, promotion: { candidate: 'n1', predecessors: [{ member: 'n2' }, { member: 'n3' }], planned: false } });
    expect(scene.member('n1').goal.kind).toBe('promote');
    expect(scene.member('n2').goal).toEqual({ kind: 'stop' });
    const damaged = failover();
    const unreadable = { code: 'wal-invalid', message: 'segments are missing' } as const;
    damaged.report('n2', { failures: 2, goalTerm: 2, error: unreadable });
    expect(damaged.decide().promotion).toMatchObject({ candidate: 'n3', primary: 'n1' });
    damaged.report('n2', down(true)).report('n3', { failures: 2, goalTerm: 3, error: unreadable });
    damaged.decide();
    expect(damaged.decide(500).promotion, 'started, the old primary would not show any more what is missing').toMatchObject({ candidate: 'n2', predecessors: [{ member: 'n1' }, { member: 'n3' }] });
  },
  'primary-down'() {
    const scene = new Scene();
    scene.report('n1', { ...down(false), cleanStop: null });
    expect(scene.decide().primary, 'how it went down is not known yet').toBe('n1');
    scene.report('n1', down(true));
    expect(scene.decide(), 'a clean stop is no reason for a failover').toMatchObject({ primary: 'n1', members: { n1: { restarts: 2 } } });
    scene.report('n1', { ...down(false), restarts: 2 }).report('n3', { received: '0/200' });
    expect(scene.decide(), 'the one with the most WAL takes over').toMatchObject({ term: 2, primary: null, promotion: { candidate: 'n3', planned: false } });
    const returning = new Scene(['n1', 'n2']).report('n1', down(false));
    returning.record!.members['n2'] = memberRecord('n2', { goal: { kind: 'remove' } });
    expect(returning.decide(), 'n2 was to go until this moment: its files may be half deleted').toMatchObject({ primary: 'n1', promotion: null });
    const manual = new Scene().report('n1', down(false));
    manual.spec.failover = 'manual';
    expect(manual.decide()).toMatchObject({ term: 1, primary: 'n1', members: { n1: { restarts: 2 } } });
    const gone = new Scene().report('n1', { ...down(false), cleanStop: null, incarnation: 0 });
    gone.decide();
    expect(gone.decide(2_000).primary, 'its agent has not looked yet').toBe('n1');
    gone.report('n1', { empty: true, restarts: 0 });
    gone.decide();
    expect(gone.decide(2_000), 'no data, no restart').toMatchObject({ term: 2, promotion: { candidate: 'n2', primary: 'n1' } });
    const lonely = new Scene(['n1']).report('n1', { ...down(false), cleanStop: null, incarnation: 0, empty: true, restarts: 0 });
    lonely.decide();
    expect(lonely.decide(60_000).members['n1']?.restarts, 'and nobody else either').toBe(1);
    const alone = new Scene(['n1']).report('n1', { ...down(false), failures: 3 });
    expect(alone.decide().members['n1']?.restarts, 'a primary that fails to start waits longer each time').toBe(1);
    expect(alone.decide(6_000).members['n1']?.restarts).toBe(2);
  },
  'primary-silent'() {
    const scene = new Scene().quiet('n1');
    scene.decide();
    expect(scene.decide(10_000).primary, 'its replicas still stream from it').toBe('n1');
    scene.report('n2', { streamingFrom: null }).report('n3', { streamingFrom: null });
    expect(scene.decide()).toMatchObject({ term: 2, primary: null, promotion: { predecessors: [{ member: 'n1' }], planned: false } });
    const quick = new Scene().report('n2', { streamingFrom: null }).report('n3', { streamingFrom: null });
    quick.quiet('n1');
    expect(quick.decide().primary).toBe('n1');
    expect(quick.decide(1_000).primary, 'not at the first silence').toBe('n1');
  },
  elect() {
    const scene = new Quorum().lose();
    expect(scene.record).toMatchObject({ term: 2, promotion: { phase: 'promise', timeline: 2, predecessors: [{ member: 'n1' }] } });
    expect(scene.goals()).toEqual({ n1: 'promise', n2: 'promise', n3: 'promise' });
    scene.promise('n2', '0/200');
    expect(scene.decide().promotion?.phase, 'one of three is too few').toBe('promise');
    scene.promise('n3', '0/300');
    expect(scene.decide().promotion, 'the logger has more: the replica fetches it').toMatchObject({ phase: 'promote', candidate: 'n2', catchUp: { upstream: { member: 'n3' }, timeline: 1, lsn: '0/300' } });
    expect(scene.member('n2').goal).toMatchObject({ kind: 'promote', timeline: 2, synchronousNames: 'ANY 1 ("n1@2", "n3@2")' });
    expect(scene.member('n3').goal).toMatchObject({ kind: 'follow', upstream: { member: 'n2' }, name: 'n3@2' });
    expect(scene.member('n1').goal, 'it follows when there is a primary').toEqual({ kind: 'promise' });
  },
  diverged() {
    const scene = new Quorum();
    scene.record!.timelines = [{ timeline: 2, begin: '0/150' }];
    scene.record!.term = 1;
    scene.report('n2', { timeline: 1, received: '0/160', streamingFrom: null });
    expect(scene.decide().members['n2']).toMatchObject({ incarnation: 2, joined: false, renewal: 'rewind' });
    const whole = new Quorum();
    whole.record!.timelines = [{ timeline: 2, begin: '0/150' }];
    whole.report('n2', { timeline: 1, received: '0/150', streamingFrom: null });
    expect(whole.decide().members['n2']?.incarnation).toBe(1);
    whole.record!.timelines.push({ timeline: 3, begin: '0/14F' });
    expect(whole.decide().members['n2']?.incarnation, 'the third goes on from the first').toBe(2);
  },
  voters() {
    const scene = new Quorum({ voters: [] });
    expect(scene.decide(), 'first the primary alone').toMatchObject({ voters: [], voterChange: { to: ['n1'] } });
    scene.followed('');
    expect(scene.decide()).toMatchObject({ voters: ['n1'], voterChange: null });
    expect(scene.decide(1), 'then one at a time').toMatchObject({ voters: ['n1'], voterChange: { to: ['n1', 'n2'], lsn: null } });
    expect(scene.member('n1').goal).toMatchObject({ synchronousNames: 'ANY 1 ("n2@1")' });
    scene.followed('ANY 1 ("n2@1")', '0/180');
    expect(scene.decide().voterChange, 'the position from after the names counts').toEqual({ number: 2, to: ['n1', 'n2'], lsn: '0/200' });
    scene.followed('ANY 1 ("n2@1")', '0/200');
    expect(scene.decide()).toMatchObject({ voters: ['n1', 'n2'], voterChange: null });
    scene.followed('');
    expect(scene.decide(1)).toMatchObject({ voters: ['n1', 'n2'], voterChange: { to: ['n1', 'n2', 'n3'] } });
    expect(scene.decide(70_000), 'taken back').toMatchObject({ voters: ['n1', 'n2', 'n3'], voterChange: { to: ['n1', 'n2'], lsn: null } });
  },
  prefer() {
    const scene = new Quorum();
    scene.spec.preferredPrimary = 'n2';
    scene.decide();
    expect(scene.decide(29_000).operation).toBeNull();
    expect(scene.decide(2_000).operation).toMatchObject({ kind: 'switchover', from: 'n1', to: 'n2' });
  },
  joined() {
    const scene = new Scene();
    scene.record!.members['n2'] = memberRecord('n2', { joined: false, rebuilds: 2, goal: scene.member('n2').goal });
    scene.report('n2', { streamingFrom: null });
    expect(scene.decide().members['n2']?.joined).toBe(false);
    scene.cascades['n2'] = 'n3';
    scene.report('n2', { streamingFrom: 'x:1' });
    expect(scene.decide().members['n2']?.joined, 'its upstream knows nothing of it').toBe(false);
    scene.cascades = {};
    expect(scene.decide().members['n2']).toMatchObject({ joined: true, rebuilds: 0 });
  },
  rebuild() {
    const scene = new Scene().report('n2', { streamingFrom: null });
    scene.decide();
    expect(scene.decide(9_000).members['n2']?.incarnation).toBe(1);
    expect(scene.decide(2_000).members['n2']).toMatchObject({ incarnation: 2, rebuilds: 1, joined: false });
    scene.report('n3', { ...down(true), failures: 3 });
    expect(scene.decide().members['n3']?.incarnation).toBe(2);
    const apart = new Scene().report('n2', { streamingFrom: null, error: { code: 'host-unreachable', message: 'x' } });
    apart.decide();
    expect(apart.decide(60_000).members['n2']?.incarnation, 'its data are whole, and the way to the primary is not').toBe(1);
    apart.report('n2', { streamingFrom: null, error: null });
    apart.decide();
    expect(apart.decide(9_000).members['n2']?.incarnation, 'the time apart does not count').toBe(1);
    expect(apart.decide(2_000).members['n2']?.incarnation).toBe(2);
  },
  switchover() {
    const scene = new Scene();
    scene.ask({ kind: 'switchover', group: 'main', to: 'n3' });
    expect(scene.decide().members).toMatchObject({ n1: { goal: { kind: 'checkpoint' } }, n3: { goal: { kind: 'checkpoint' } }, n2: { goal: { kind: 'follow' } } });
    scene.report('n1', { reached: 'checkpoint' }).report('n3', { reached: 'checkpoint' });
    expect(scene.decide().members['n1']?.goal).toEqual({ kind: 'stop' });
    scene.report('n1', { ...down(true), reached: 'stop' });
    expect(scene.decide()).toMatchObject({ term: 2, promotion: { candidate: 'n3', planned: true, predecessors: [{ member: 'n1' }] } });
    scene.report('n3', { inRecovery: false, term: 2 });
    expect(scene.decide()).toMatchObject({ primary: 'n3', operation: null, results: [{ id: 'op', ok: true }], members: { n1: { incarnation: 1 } } });
    const lost = new Scene();
    lost.ask({ kind: 'switchover', group: 'main', to: 'n3' });
    lost.record!.operation = { ...(lost.record!.operation as Extract<Operation, { kind: 'switchover' }>), step: 'stop' };
    lost.decide();
    lost.report('n1', { ...down(true), reached: 'stop' }).report('n3', down(true));
    expect(lost.decide(), 'nobody is promoted who went away').toMatchObject({ term: 1, primary: 'n1', promotion: null, results: [{ ok: false }], members: { n1: { restarts: 2 } } });
  },
  promote() {
    const scene = new Scene();
    delete scene.reports['n1'];
    scene.ask({ kind: 'promote', group: 'main', member: 'n3', force: true });
    expect(scene.decide()).toMatchObject({ term: 2, promotion: { candidate: 'n3', predecessors: [{ member: 'n1' }], planned: false } });
    const gone = new Scene();
    delete gone.reports['n1'];
    gone.ask({ kind: 'promote', group: 'main', member: 'n3', force: true });
    gone.report('n3', down(true));
    expect(gone.decide()).toMatchObject({ term: 1, promotion: null, operation: null, results: [{ ok: false }] });
  },
  'promote-anyway'() {
    const ask = { kind: 'promote', group: 'main', member: 'n3', force: true, acceptLoss: true } as const;
    const dead = new Scene();
    delete dead.reports['n1'];
    dead.ask(ask);
    expect(dead.decide(), 'the other replicas may have what the old primary is not asked for any more').toMatchObject({
      term: 2, primary: null, promotion: { candidate: 'n3', predecessors: [{ member: 'n1' }, { member: 'n2' }], primary: 'n1', acceptLoss: true, planned: false },
    });
    expect(dead.member('n3').goal).toMatchObject({ kind: 'promote', acceptLoss: true });
    dead.report('n3', { inRecovery: false, term: 2, goalTerm: 2 });
    expect(dead.decide(), 'all others are made anew').toMatchObject({ primary: 'n3', operation: null, results: [{ ok: true }], members: { n1: { incarnation: 2 }, n2: { incarnation: 2 } } });

    const stuck = failover();
    stuck.ask(ask);
    expect(stuck.decide(), 'in place of one that is tried in vain').toMatchObject({ term: 3, promotion: { candidate: 'n3', predecessors: [{ member: 'n1' }, { member: 'n2' }], acceptLoss: true, operation: 'op' } });
    expect(stuck.decide().term, 'once').toBe(3);
    stuck.report('n3', { ...down(false), failures: 2, goalTerm: 3, state: 'failed' });
    expect(stuck.decide().promotion, 'the loss was accepted for one').toMatchObject({ candidate: 'n2', acceptLoss: false });
  },
  restart() {
    const scene = new Scene(['n1', 'n2']);
    scene.ask({ kind: 'restart', group: 'main', members: null });
    expect(scene.decide().members, 'replicas first').toMatchObject({ n1: { restarts: 1 }, n2: { restarts: 2 } });
    scene.report('n2', { restarts: 2 });
    expect(scene.decide().members['n1']?.restarts).toBe(2);
    scene.report('n1', { ...down(true), restarts: 1 });
    expect(scene.decide(), 'a restart that was asked for is no failure').toMatchObject({ term: 1, operation: { kind: 'restart', current: 'n1' } });
    expect(scene.decide(61_000)).toMatchObject({ operation: null, results: [{ ok: false }] });
  },
  reclone() {
    const scene = new Scene();
    scene.ask({ kind: 'reclone', group: 'main', members: ['n2'], drainMs: 5_000 });
    expect(scene.decide().members['n2']?.goal).toEqual({ kind: 'drain', patient: false });
    expect(scene.decide(6_000).members['n2'], 'sessions are cut off when their time is up').toMatchObject({ incarnation: 2, joined: false, goal: { kind: 'follow' } });
    scene.report('n2', { incarnation: 2 });
    expect(scene.decide()).toMatchObject({ operation: null, results: [{ ok: true }] });
  },
  // More of it in proof.test.ts.
  proven() {
    const scene = new Scene();
    scene.record!.members['n2'] = memberRecord('n2', { provenIn: 0 });
    scene.report('n2', { timeline: 2 }).decide();
    expect(scene.member('n2')).toMatchObject({ provenIn: 0, goal: { name: 'n2@0' } });
    scene.report('n2', { timeline: 1 }).decide();
    expect(scene.member('n2')).toMatchObject({ provenIn: 1, goal: { name: 'n2@1' } });
  },
  // More of it in archive.test.ts.
  archive() {
    const scene = new Scene();
    scene.spec.archive = { to: '/srv/wal', source: null, flushMs: 1000, hosts: null };
    expect(scene.decide().archive).toMatchObject({ epoch: 1, host: 'h1', sources: [{ member: 'n1' }, { member: 'n2' }, { member: 'n3' }] });
    expect(scene.events).toEqual(['archive-assigned']);
  },

  'reclone-needed'() {
    const scene = new Scene();
    scene.shares = { n1: 0.9, n2: 0.9 };
    scene.decide();
    expect(scene.decide(59_000).operation).toBeNull();
    expect(scene.decide(2_000)).toMatchObject({ operation: { kind: 'reclone', current: 'n2', cut: false }, members: { n2: { goal: { kind: 'drain', patient: true } } } });
  },
};

describe('the rules of a group', () => {
  // eslint-disable-next-line vitest/expect-expect -- each of TESTS expects for itself
  it.each(Object.keys(TESTS))('%s', (name) => TESTS[name]!());

  it('give a dead primary the time of election_delay in place', () => {
    const scene = new Scene();
    scene.spec.electionDelayMs = 5_000;
    scene.report('n1', down(false));
    expect(scene.decide()).toMatchObject({ primary: 'n1', term: 1 });
    expect(scene.member('n1').restarts, 'it is started in place').toBe(2);
    scene.report('n1', { failures: 1, restarts: 2, state: 'failed' });
    expect(scene.decide(6_000)).toMatchObject({ primary: null, term: 2 });
  });

  it('all have a test', () => {
    expect(Object.keys(TESTS).sort()).toEqual(RULES.map((rule) => rule.name).sort());
  });
});

describe('a switchover on local storage', () => {
  /** The primary is stopping for n3. */
  function stopping(voters: string[]): Scene {
    const scene = new Scene();
    scene.spec = { ...scene.spec, storage: 'local', commit: 'quorum' };
    scene.record!.voters = voters;
    scene.ask({ kind: 'switchover', group: 'main', to: 'n3' });
    scene.report('n1', { reached: 'checkpoint' }).report('n3', { reached: 'checkpoint' });
    scene.decide();
    return scene;
  }
  const stopped = { ...down(true), reached: 'stop' as const, stoppedAt: { timeline: 1, lsn: '0/200' } };

  it('has slots and names ready while the old primary stops', () => {
    const scene = stopping(['n1', 'n2', 'n3']);
    expect(scene.member('n1').goal).toEqual({ kind: 'stop' });
    expect(scene.member('n3').goal).toMatchObject({ kind: 'follow', upstream: { member: 'n1' }, slots: ['pgorbit_n1', 'pgorbit_n2'], synchronousNames: 'ANY 1 ("n1@2", "n2@2")' });
  });

  it('asks nobody who has what, where it is known where the WAL of the old primary ends', () => {
    const scene = stopping(['n1', 'n2', 'n3']);
    scene.report('n1', stopped);
    const record = scene.decide();
    expect(record.promotion).toMatchObject({ phase: 'promote', candidate: 'n3', timeline: 2, atLeast: { timeline: 1, lsn: '0/200' } });
    expect(record.members['n3']?.goal).toMatchObject({ kind: 'promote', atLeast: { timeline: 1, lsn: '0/200' } });
    expect(record.members['n2']?.goal).toMatchObject({ kind: 'follow', upstream: { member: 'n3' } });
    scene.report('n3', { failures: 2, goalTerm: 2, error: { code: 'unsafe', message: 'it lacks some' } });
    expect(scene.decide().promotion, 'who lacks it is not promoted').toMatchObject({ phase: 'promise', atLeast: null, planned: false });
  });

  it.each<[string, string[], Partial<MemberReport>]>([
    ['it crashed instead', ['n1', 'n2', 'n3'], { ...stopped, ...down(false), reached: 'stop', stoppedAt: null }],
    ['the successor does not vote', ['n1', 'n2'], stopped],
    ['it was stopped in another term', ['n1', 'n2', 'n3'], { ...stopped, goalTerm: 0 }],
  ])('asks the voters where %s', (_, voters, report) => {
    const scene = stopping(voters);
    scene.report('n1', report);
    expect(scene.decide().promotion).toMatchObject({ phase: 'promise', atLeast: null });
  });
});

it('a standby that is added begins with its second data: those that a person brought along are rewound first', () => {
  const scene = new Scene(['n1']);
  scene.spec.members['s1'] = memberSpec('s1', { role: 'standby' });
  expect(scene.decide().members['s1']).toMatchObject({ incarnation: 2, renewal: 'rewind', joined: false });
});

describe('an election on local storage', () => {
  /** Without a quorum; n1 is dead, n2 has promised, and n3, which has more, is to go. */
  function withLeaver(): Scene {
    const scene = new Scene();
    Object.assign(scene.spec, { storage: 'local', volume: null });
    scene.report('n1', down(false));
    scene.decide();
    delete scene.spec.members['n3'];
    for (const [name, lsn] of [['n2', '0/100'], ['n3', '0/200']] as const) scene.report(name, { goalTerm: 2, promised: { term: 2, timeline: 1, lsn } });
    scene.record!.members['n3'] = memberRecord('n3', { goal: { kind: 'remove' } });
    return scene.report('n1', { goalTerm: 2 });
  }

  it('is not won by a member whose data are being deleted, whatever it had', () => {
    const scene = withLeaver();
    scene.report('n3', down(false));
    expect(scene.decide().promotion).toMatchObject({ phase: 'promote', candidate: 'n2', catchUp: null });
    expect(scene.member('n3').goal).toEqual({ kind: 'remove' });
  });

  it('is won by a member that is to go where those that stay can never fetch what it has', () => {
    const scene = withLeaver();
    scene.record!.members['n3'] = memberRecord('n3');
    scene.record!.timelines = [{ timeline: 2, begin: '0/80' }];
    scene.report('n3', { promised: { term: 2, timeline: 2, lsn: '0/200' } });
    expect(scene.decide().promotion, 'n2 has WAL of the first timeline beyond the second').toMatchObject({ phase: 'promote', candidate: 'n3', catchUp: null });
    const fits = withLeaver();
    fits.record!.members['n3'] = memberRecord('n3');
    fits.record!.timelines = [{ timeline: 2, begin: '0/180' }];
    fits.report('n3', { promised: { term: 2, timeline: 2, lsn: '0/200' } });
    expect(fits.decide().promotion).toMatchObject({ candidate: 'n2', catchUp: { upstream: { member: 'n3' } } });
  });

  it('is won by such a member, too, where a logger has as much and comes before it', () => {
    const scene = withLeaver();
    const { n1, n2 } = scene.record!.members;
    scene.spec.members['l1'] = memberSpec('l1', { role: 'logger' });
    scene.record!.members = { n1: n1!, n2: n2!, l1: memberRecord('l1', { role: 'logger', port: 6000 }), n3: memberRecord('n3') };
    scene.report('n2', { streamingFrom: null });
    for (const name of ['l1', 'n3']) scene.report(name, { goalTerm: 2, promised: { term: 2, timeline: 2, lsn: '0/200' } });
    scene.report('n3', { pid: null, ready: false });
    // n3 accepted writes and died unheard; n2, which could not fetch that, was tried after it.
    Object.assign(scene.record!.promotion!, { attempts: 2, predecessors: ['n3', 'n2'].map((member) => ({ member, host: 'h1' })) });
    for (const waited of [0, 2_000, 2_000]) scene.decide(waited);
    expect(scene.decide(10_000).promotion).toMatchObject({ phase: 'promote', candidate: 'n3', catchUp: null });
  });

  it('does not wait for ever for one that may have written, and has promised without any data', () => {
    const scene = withLeaver();
    scene.report('n1', { incarnation: 0, term: 0, promised: { term: 2, timeline: 0, lsn: '0/0' } });
    expect(scene.decide().promotion).toMatchObject({ phase: 'promote', candidate: 'n2' });
  });
});

describe('goals', () => {
  it('keep whom a promotion reads from, though the manifest has dropped it', () => {
    const scene = new Scene();
    delete scene.spec.members['n1'];
    expect(scene.decide().members['n1']?.goal.kind).toBe('primary');
    scene.report('n1', down(false));
    expect(scene.decide()).toMatchObject({ promotion, members: { n1: { goal: { kind: 'stop' } } } });
    scene.report('n2', { inRecovery: false, term: 2 });
    expect(scene.decide().members['n1']?.goal).toEqual({ kind: 'remove' });
  });

  it('make a member anew that is named again while it goes', () => {
    const scene = new Scene();
    const n3 = scene.spec.members['n3']!;
    delete scene.spec.members['n3'];
    scene.decide();
    scene.spec.members['n3'] = n3;
    expect(scene.decide().members['n3']).toMatchObject({ incarnation: 2, joined: false, goal: { kind: 'follow' } });
    scene.report('n1', down(false)).report('n2', down(true));
    expect(scene.decide().promotion, 'its last report is of data that may be gone').toBeNull();
  });

  it('keep the first member until it is known whether it has made the system', () => {
    const scene = new Scene(['n1', 'n2']);
    scene.record = null;
    scene.reports = {};
    scene.decide();
    scene.spec.members = { n2: memberSpec('n2', { role: 'primary' }) };
    expect(scene.decide().members['n1']?.goal).toEqual({ kind: 'create' });
  });
});

describe('a request', () => {
  it('is refused while another runs, but ends a patient clone', () => {
    const scene = new Scene();
    scene.ask({ kind: 'restart', group: 'main', members: null });
    expect(() => scene.ask({ kind: 'switchover', group: 'main', to: null })).toThrow(/busy with a restart/);
    const patient = new Scene();
    patient.record!.operation = { id: 'old', kind: 'reclone', left: [], current: 'n2', step: 'drain', drainMs: 1, cut: false };
    patient.ask({ kind: 'switchover', group: 'main', to: null });
    expect(patient.record).toMatchObject({ operation: { kind: 'switchover', to: 'n2' }, results: [{ id: 'old', ok: false }] });
  });

  it('to promote is a switchover while the primary lives, and else needs force', () => {
    const scene = new Scene();
    scene.ask({ kind: 'promote', group: 'main', member: 'n2', force: false });
    expect(scene.record?.operation).toMatchObject({ kind: 'switchover', from: 'n1', to: 'n2' });
    const dead = new Scene();
    delete dead.reports['n1'];
    expect(() => dead.ask({ kind: 'promote', group: 'main', member: 'n2', force: false })).toThrow(/fences n1 for good/);
    expect(() => dead.ask({ kind: 'promote', group: 'main', member: 'n9', force: true })).toThrow(/no member n9/);
    const anyway = { kind: 'promote', group: 'main', member: 'n2', acceptLoss: true } as const;
    expect(() => dead.ask({ ...anyway, force: false })).toThrow(/loses what only that has/);
    delete dead.reports['n2'];
    expect(() => dead.ask({ ...anyway, force: true })).toThrow(/whose agent answers/);
    const local = new Quorum();
    delete local.reports['n1'];
    expect(() => local.ask({ ...anyway, force: true })).toThrow(/local storage/);
  });
});
