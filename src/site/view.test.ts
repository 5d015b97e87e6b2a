import { describe, expect, test } from 'vitest';
import { Scene, down } from '../group/testing/build.ts';
import { groupAnswer } from './answer.ts';
import { newSite, type PeerSite, type SiteDocument } from './document.ts';
import { factsOf } from './facts.ts';
import { siteStatus } from './status.ts';
import { siteView, type Heard } from './view.ts';

const peer: PeerSite = { cluster: 'shop-b', clusterId: 'id-b', agents: [], addresses: [], ca: '', cert: '', key: '' };
const site = (role: SiteDocument['role'], patch: Partial<SiteDocument> = {}): SiteDocument => ({ ...newSite(role, peer, 1), ...patch });
const answerOf = (scene: Scene): ReturnType<typeof groupAnswer> => groupAnswer(scene.record!, scene.input().seen, scene.now);
const heard = (scene: Scene, role: 'primary' | 'standby', at: number): Heard => ({
  at, answer: { cluster: 'shop-b', clusterId: 'id-b', site: { role, epoch: 1, handOver: null, declined: 0 }, agents: [], addresses: [], ca: '', groups: { main: answerOf(scene) } },
});

describe('what a site tells of a group', () => {
  test('names who leads, and whether that one accepts writes', () => {
    expect(answerOf(new Scene())).toMatchObject({ systemIdentifier: '7', leader: { member: 'n1', address: '127.0.0.1', port: 5432 }, writable: true, streaming: false, position: { timeline: 1, lsn: '0/100' }, newest: 1 });
    expect(answerOf(new Scene().report('n1', down(false)))).toMatchObject({ writable: false, position: null });
    expect(answerOf(new Scene().quiet('n1'))).toMatchObject({ writable: true });
    const promoting = new Scene().report('n1', down(false));
    promoting.decide();
    expect(answerOf(promoting)).toMatchObject({ leader: null, writable: false });
  });

  test('of a standby site, what its leading member has received', () => {
    const scene = new Scene().report('n1', { inRecovery: true, received: '0/180', streamingFrom: '10.0.0.1:5432' });
    scene.record = { ...scene.record!, standbySite: true };
    expect(answerOf(scene)).toMatchObject({ writable: false, streaming: true, position: { timeline: 1, lsn: '0/180' } });
  });
});

describe('what a group says to its site', () => {
  const facts = (scene: Scene) => factsOf(scene.record!, scene.input().seen, scene.now);

  test('its primary is ready, has written everything out, or has stopped cleanly at a known place', () => {
    const scene = new Scene();
    expect(facts(scene).state).toBe('ready');
    scene.record!.members['n1']!.goal = { kind: 'checkpoint' };
    expect(facts(scene).state).toBe('ready');
    expect(facts(scene.report('n1', { reached: 'checkpoint' })).state).toBe('checkpointed');
    scene.record!.members['n1']!.goal = { kind: 'stop' };
    const end = { timeline: 1, lsn: '0/200' };
    expect(facts(scene.report('n1', { ...down(true), reached: 'stop' })).state).toBe('unknown');
    expect(facts(scene.report('n1', { stoppedAt: end }))).toMatchObject({ state: 'stopped', end });
  });

  test.each<[string, (scene: Scene) => unknown, string]>([
    ['it crashed', (scene) => scene.report('n1', down(false)), 'failed'],
    ['how it ended is not read yet', (scene) => scene.report('n1', { ...down(false), cleanStop: null }), 'unknown'],
    ['it stopped in an earlier term', (scene) => scene.report('n1', { ...down(true), reached: 'stop', stoppedAt: { timeline: 1, lsn: '0/1' }, goalTerm: 0 }), 'unknown'],
    ['it stopped, and nobody had asked for it', (scene) => scene.report('n1', { ...down(true), reached: 'stop', stoppedAt: { timeline: 1, lsn: '0/1' } }), 'unknown'],
    ['its data are of another incarnation', (scene) => scene.report('n1', { incarnation: 0 }), 'unknown'],
    ['another is being promoted', (scene) => { scene.report('n1', down(false)); scene.decide(); }, 'unknown'],
  ])('when %s', (_why, change, state) => {
    const scene = new Scene();
    change(scene);
    expect(facts(scene).state).toBe(state);
  });
});

describe('what a group is told of the sites', () => {
  const scene = new Scene();

  test('the standby site follows the other one, where that is the primary site and was heard lately', () => {
    const of = (role: 'primary' | 'standby', at: number) => siteView('main', 'shop', site('standby'), heard(scene, role, at), 10_000);
    expect(of('primary', 9_000)).toMatchObject({
      role: 'standby', side: 0, handOver: null, handedOver: false, peerSlot: null, name: 'site:shop', slot: 'pgorbit_site_shop', end: null,
      upstream: { endpoint: { member: 'n1', site: 'shop-b' }, writable: true, newest: 1 },
    });
    expect(of('primary', 5_000).upstream).toMatchObject({ writable: false, endpoint: { member: 'n1' } });
    expect(of('standby', 9_000).upstream).toMatchObject({ writable: false });
    expect(siteView('side', 'shop', site('standby'), heard(scene, 'primary', 9_000), 10_000).upstream).toBeNull();
    expect(siteView('main', 'shop', site('standby'), null, 10_000).upstream).toBeNull();
  });

  test('the other site has its slot where it may still have to fetch something', () => {
    const ends = { main: { timeline: 1, lsn: '0/1' } };
    const handOver = { epoch: 2, to: 'id-b', step: 'stop' as const, ends: {} };
    expect(siteView('main', 'shop', site('primary', { handOver }), null, 0)).toMatchObject({ handOver: 'stop', handedOver: false, peerSlot: 'pgorbit_site_shop_b' });
    expect(siteView('main', 'shop', site('standby', { handOver: { ...handOver, step: 'done', ends } }), null, 0)).toMatchObject({ handOver: null, handedOver: true, peerSlot: 'pgorbit_site_shop_b' });
    expect(siteView('main', 'shop', site('primary', { ends }), null, 0)).toMatchObject({ end: { lsn: '0/1' }, peerSlot: 'pgorbit_site_shop_b' });
  });
});

test('status tells what the standby site lacks, whichever side is asked', () => {
  const behind = new Scene().report('n1', { lsn: '0/80' });
  const ahead = new Scene();
  const of = (own: SiteDocument, here: Scene, there: Scene, role: 'primary' | 'standby') =>
    siteStatus({ site: own, heard: heard(there, role, here.now), records: new Map([['main', here.record!]]), seen: () => here.input().seen, now: here.now });
  expect(of(site('primary'), ahead, behind, 'standby').groups).toMatchObject([{ name: 'main', lagBytes: 0x80 }]);
  expect(of(site('standby'), behind, ahead, 'primary')).toMatchObject({ role: 'standby', epoch: 1, peer: { cluster: 'shop-b', role: 'primary', answers: true, writable: true }, groups: [{ lagBytes: 0x80 }] });
});
