import { describe, expect, test } from 'vitest';
import { Scene, down, memberSpec } from '../testing/build.ts';
import { acceptRequest } from './request.ts';
import type { SiteUpstream, SiteView } from './site-view.ts';

const upstream = (patch: Partial<SiteUpstream> = {}): SiteUpstream => ({
  endpoint: { member: 'n1', address: '10.0.0.1', port: 5432, site: 'b' }, writable: true, systemIdentifier: '7', timelines: [], newest: 1, ...patch,
});
const view = (patch: Partial<SiteView> = {}): SiteView => ({
  role: 'standby', side: 0, handOver: null, handedOver: false, peerSlot: null, name: 'site:a', slot: 'pgorbit_site_a', end: null, upstream: upstream(), ...patch,
});

/** n1 leads a standby site; all stream. */
function standby(patch: Partial<SiteView> = {}): Scene {
  const scene = new Scene();
  scene.site = view({ handedOver: true, ...patch });
  scene.report('n1', { inRecovery: true, state: 'streaming', received: '0/100', streamingFrom: '10.0.0.1:5432', reached: 'follow', goalTerm: 2 });
  scene.report('n2', { goalTerm: 2 }).report('n3', { goalTerm: 2 });
  scene.decide();
  return scene;
}

describe('a group of a standby site', () => {
  test('is never made, but begins as a copy, once it is known of what', () => {
    const scene = new Scene();
    scene.record = null;
    scene.reports = {};
    scene.site = view({ upstream: null });
    expect(() => scene.decide()).toThrow(/no record/);
    scene.record = null;
    scene.site = view();
    expect(scene.decide()).toMatchObject({ systemIdentifier: '7', primary: 'n1', standbySite: true, term: 1 });
    expect(scene.member('n1').goal).toEqual({ kind: 'follow', upstream: upstream().endpoint, slot: 'pgorbit_site_a', name: 'site:a' });
  });

  test('has one member that follows the other site, and others that follow that one', () => {
    const scene = standby();
    expect(scene.member('n1').goal).toMatchObject({ kind: 'follow', upstream: { member: 'n1', site: 'b' }, slots: ['pgorbit_n2', 'pgorbit_n3'] });
    expect(scene.member('n2').goal).toMatchObject({ kind: 'follow', upstream: { member: 'n1', port: 5432 }, slot: 'pgorbit_n2', name: 'n2@2', rewindFrom: upstream().endpoint });
  });

  test('promotes nobody, whoever dies', () => {
    const scene = standby();
    scene.report('n1', { ...down(false), goalTerm: 2 });
    scene.decide();
    expect(scene.decide(2_000)).toMatchObject({ primary: 'n1', promotion: null });
    expect(scene.decide(2_000)).toMatchObject({ primary: 'n2', promotion: null, term: 3, standbySite: true });
    expect(scene.member('n2').goal).toMatchObject({ upstream: { site: 'b' }, name: 'site:a' });
  });

  test('replaces a leader that nobody hears, and keeps one that only its agent has left', () => {
    const scene = standby();
    scene.quiet('n1');
    expect(scene.decide(3_000).primary).toBe('n1');
    scene.report('n2', { streamingFrom: null }).report('n3', { streamingFrom: null });
    expect(scene.decide(100).primary).toBe('n2');
  });

  test('waits for a leader whose data are being copied or put right', () => {
    const scene = standby();
    scene.report('n1', { ...down(false), state: 'attaching', goalTerm: 2 });
    scene.decide();
    expect(scene.decide(60_000).primary).toBe('n1');
  });

  test('leaves the leader alone while the other site is away, and has it made anew when that one is well and it does not stream for long', () => {
    const scene = standby();
    scene.report('n1', { streamingFrom: null });
    scene.site = view({ upstream: upstream({ writable: false }) });
    scene.decide();
    scene.decide(600_000);
    expect(scene.member('n1').incarnation).toBe(1);
    scene.site = view();
    scene.decide();
    scene.decide(29_000);
    expect(scene.member('n1').incarnation).toBe(1);
    scene.decide(2_000);
    expect(scene.member('n1')).toMatchObject({ incarnation: 2, renewal: 'rewind' });
  });

  test('rewinds what contradicts the timelines of the other site', () => {
    const scene = standby();
    scene.report('n1', { streamingFrom: null, lsn: '0/300', received: '0/300' });
    scene.site = view({ upstream: upstream({ timelines: [{ timeline: 3, begin: '0/200' }], newest: 3 }) });
    expect(scene.decide().timelines).toEqual([{ timeline: 3, begin: '0/200' }]);
    expect(scene.member('n1')).toMatchObject({ incarnation: 2, renewal: 'rewind', joined: false });
  });

  test('takes no switchover and no promotion from a person', () => {
    const scene = standby();
    for (const request of [{ kind: 'switchover', group: 'main', to: null }, { kind: 'promote', group: 'main', member: 'n2', force: true }] as const) {
      expect(() => acceptRequest(scene.input(), scene.record!, request, 'x')).toThrow(/standby site/);
    }
  });
});

describe('a group whose site gives way', () => {
  test('is not made while it is none of the primary site', () => {
    const scene = new Scene(['n1']);
    scene.record = { ...scene.record!, systemIdentifier: null, primary: null, term: 0 };
    scene.site = view({ upstream: null });
    scene.decide();
    expect(scene.member('n1').goal).toEqual({ kind: 'stop' });
    scene.site = view({ role: 'primary' });
    scene.report('n1', { reached: null });
    scene.decide();
    expect(scene.member('n1').goal).toEqual({ kind: 'create' });
  });

  test('after a hand-over everybody follows as it is', () => {
    const scene = new Scene();
    scene.site = view({ handedOver: true, peerSlot: 'pgorbit_site_b', upstream: upstream({ writable: false }) });
    scene.report('n1', down(true));
    expect(scene.decide()).toMatchObject({ standbySite: true, primary: 'n1', term: 2, voters: [] });
    expect(scene.member('n1')).toMatchObject({ incarnation: 1, joined: true, goal: { kind: 'follow', slots: ['pgorbit_n2', 'pgorbit_n3', 'pgorbit_site_b'] } });
  });

  test('otherwise whoever may have accepted writes stops, and is put right when there is a primary to take it from', () => {
    const scene = new Scene();
    scene.site = view({ upstream: upstream({ writable: false }) });
    scene.decide();
    expect(scene.member('n1')).toMatchObject({ incarnation: 2, renewal: 'rewind', joined: false, goal: { kind: 'stop' } });
    expect(scene.member('n2')).toMatchObject({ incarnation: 1, joined: true });
    scene.site = view();
    scene.decide();
    expect(scene.member('n1').goal).toMatchObject({ kind: 'follow', upstream: { site: 'b' } });
  });

  test('a promotion that is under way ends there', () => {
    const scene = new Scene();
    scene.spec = { ...scene.spec, storage: 'local', volume: null };
    scene.report('n1', down(false));
    expect(scene.decide().promotion).not.toBeNull();
    scene.site = view();
    expect(scene.decide()).toMatchObject({ promotion: null, standbySite: true });
    expect(Object.values(scene.record!.members).some(({ goal }) => goal.kind === 'promote' || goal.kind === 'primary' || goal.kind === 'promise')).toBe(false);
  });
});

describe('while its site hands over', () => {
  test('the primary writes out and stops, and nobody takes over from it', () => {
    const scene = new Scene();
    scene.site = view({ role: 'primary', side: 1, handOver: 'checkpoint', peerSlot: 'pgorbit_site_b', upstream: null });
    scene.decide();
    expect(scene.member('n1').goal).toEqual({ kind: 'checkpoint' });
    scene.site = { ...scene.site, handOver: 'stop' };
    scene.decide();
    expect(scene.member('n1').goal).toEqual({ kind: 'stop' });
    scene.report('n1', { ...down(false) });
    scene.decide();
    expect(scene.decide(60_000)).toMatchObject({ primary: 'n1', promotion: null, term: 1 });
    scene.quiet('n1');
    expect(scene.decide(60_000)).toMatchObject({ primary: 'n1', promotion: null });
  });

  test('taken back, the primary that stopped cleanly is started again, with the slot of the other site', () => {
    const scene = new Scene();
    scene.site = view({ role: 'primary', side: 1, handOver: 'stop', peerSlot: 'pgorbit_site_b', upstream: null });
    scene.report('n1', { ...down(true), reached: 'stop' });
    scene.decide();
    scene.site = { ...scene.site, handOver: null };
    scene.decide();
    scene.decide();
    expect(scene.member('n1')).toMatchObject({ restarts: 2, goal: { kind: 'primary', slots: ['pgorbit_n2', 'pgorbit_n3', 'pgorbit_site_b'] } });
  });
});

describe('a group whose site becomes the primary one', () => {
  const taking = (patch: Partial<SiteView> = {}): SiteView => view({ role: 'primary', end: { timeline: 1, lsn: '0/100' }, peerSlot: 'pgorbit_site_b', ...patch });

  test('is promoted on a timeline of its own side, above those of both', () => {
    const scene = standby();
    scene.site = taking({ upstream: upstream({ newest: 5 }) });
    expect(scene.decide()).toMatchObject({ term: 3, primary: null, promotion: { candidate: 'n1', phase: 'promote', timeline: 6, predecessors: [] } });
    expect(scene.record).not.toHaveProperty('standbySite');
    expect(scene.member('n1').goal).toMatchObject({ kind: 'promote', timeline: 6, slots: ['pgorbit_n2', 'pgorbit_n3', 'pgorbit_site_b'] });
  });

  test('waits for whoever has what was handed over', () => {
    const scene = standby();
    scene.site = taking({ end: { timeline: 1, lsn: '0/140' } });
    expect(scene.decide(10_000)).toMatchObject({ promotion: null, standbySite: true });
    scene.report('n2', { lsn: '0/140', received: '0/140' });
    expect(scene.decide()).toMatchObject({ promotion: { candidate: 'n2' } });
  });

  test('on local storage asks nobody, where it is known that one has everything; should that one fail, those are elected from who have it', () => {
    const scene = standby();
    scene.spec = { ...scene.spec, storage: 'local', volume: null };
    scene.site = taking();
    expect(scene.decide()).toMatchObject({ promotion: { phase: 'promote', candidate: 'n1', atLeast: { timeline: 1, lsn: '0/100' } } });
    scene.report('n1', { goalTerm: 3, failures: 2 });
    expect(scene.decide()).toMatchObject({ term: 4, promotion: { phase: 'promise', atLeast: null } });
    const promised = (lsn: string) => ({ promised: { term: 4, timeline: 1, lsn }, goalTerm: 4, failures: 0 });
    for (const name of ['n1', 'n2', 'n3']) scene.report(name, promised('0/80'));
    expect(scene.decide(30_000)).toMatchObject({ promotion: { phase: 'promise' } });
    scene.report('n3', promised('0/100'));
    expect(scene.decide()).toMatchObject({ promotion: { phase: 'promote', candidate: 'n3', catchUp: null } });
  });

  test('of a quorum has all voters that keep up before its first commit; none by force, lest it wait for the dead', () => {
    for (const end of [{ timeline: 1, lsn: '0/100' }, null]) {
      const scene = standby();
      scene.spec = { ...scene.spec, storage: 'local', volume: null, commit: 'quorum' };
      Object.assign(scene.cascades, { n2: 'n1', n3: 'n1' });
      scene.report('n3', down(true));
      scene.site = taking({ end });
      expect(scene.decide().voters).toEqual(end === null ? [] : ['n1', 'n2']);
      if (end !== null) expect(scene.member('n1').goal).toMatchObject({ synchronousNames: 'ANY 1 ("n2@3")' });
    }
  });

  test('on local storage, promoted by force, takes who has most', () => {
    const scene = standby();
    scene.spec = { ...scene.spec, storage: 'local', volume: null };
    scene.site = taking({ end: null });
    expect(scene.decide()).toMatchObject({ promotion: { phase: 'promise', atLeast: null } });
  });

  test('so is one whose cluster was detached', () => {
    const scene = standby();
    scene.site = null;
    expect(scene.decide()).toMatchObject({ promotion: { candidate: 'n1' } });
  });

  test('a failover on a shared volume begins a timeline of the own side, too', () => {
    const scene = new Scene();
    scene.site = view({ role: 'primary', side: 1 });
    scene.report('n1', down(false));
    expect(scene.decide().promotion).toMatchObject({ phase: 'promote', timeline: 3 });
    scene.spec.members['n4'] = memberSpec('n4');
    scene.report('n2', { goalTerm: 2, failures: 2 });
    expect(scene.decide().promotion).toMatchObject({ candidate: 'n3', timeline: 5 });
  });
});
