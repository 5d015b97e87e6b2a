import { describe, expect, it } from 'vitest';
import { memberRecord, memberSpec, Scene } from '../group/testing/build.ts';
import type { ClusterDocument } from './api.ts';
import type { ArchiveReport } from '../group/model.ts';
import { statusOf, type StatusInput } from './status.ts';

/** The status of the scene's group, as the leader h1 gives it. */
function statusAt(scene: Scene, patch: Partial<StatusInput> = {}, stopped = false): ReturnType<typeof statusOf> {
  const { seen } = scene.input();
  const document: ClusterDocument = {
    id: 'id', manifest: '', stopped,
    spec: {
      cluster: 'shop', engine: { kind: 'postgres', version: 18, bin: null }, volumes: {}, groups: { main: scene.spec },
      hosts: { h1: { name: 'h1', address: '127.0.0.1', port: 7400 }, h2: { name: 'h2', address: '127.0.0.1', port: 7401 } },
    },
  };
  return statusOf({
    cluster: 'shop', document, records: new Map(scene.record === null ? [] : [['main', scene.record]]), seen: () => seen,
    agents: [{ host: 'h1', address: '127.0.0.1', port: 7400 }, { host: 'h2', address: '127.0.0.1', port: 7401 }],
    site: null, heard: new Map([['h2', { at: scene.now, pid: 22 }]]), leader: { host: 'h1', pid: 11 }, voters: ['h1', 'h2'], settled: () => true,
    volumes: [], engine: 'PostgreSQL 18.4 (embedded)', now: scene.now, ...patch,
  });
}
const group = (status: ReturnType<typeof statusOf>) => status.groups[0]!;

describe('the status of a group', () => {
  it('is healthy while everyone streams, with the roles as they are now', () => {
    const status = statusAt(new Scene());
    expect(group(status)).toMatchObject({ state: 'healthy', reason: '', primary: 'n1', term: 1 });
    expect(group(status).members.map(({ name, role, state }) => [name, role, state])).toEqual([
      ['n1', 'primary', 'running'], ['n2', 'replica', 'streaming'], ['n3', 'replica', 'streaming'],
    ]);
    expect(status.agents).toMatchObject([{ host: 'h1', state: 'leader', pid: 11 }, { host: 'h2', state: 'follower', pid: 22 }]);
  });

  it('is degraded while a replica does not stream, and says which', () => {
    const scene = new Scene().report('n2', { state: 'catching-up', streamingFrom: null });
    expect(group(statusAt(scene))).toMatchObject({ state: 'degraded', reason: 'n2 is catching-up' });
  });

  it('does not believe a receiver that the primary does not know', () => {
    const scene = new Scene().report('n2', { streamingFrom: null });
    expect(group(statusAt(scene)).members[1]).toMatchObject({ name: 'n2', state: 'catching-up' });
  });

  it('shows whom a standby follows, and what its slot there holds back', () => {
    const scene = new Scene();
    scene.spec.members['n3'] = memberSpec('n3', { role: 'standby', source: 'n2' });
    scene.record!.members['n3'] = memberRecord('n3', { role: 'standby', joined: false });
    scene.report('n3', { streamingFrom: null });
    scene.decide();
    scene.cascades['n3'] = 'n2';
    scene.report('n3', { streamingFrom: 'x:1' }).report('n2', { retained: { pgorbit_n3: 4096 } });
    scene.decide();
    const members = group(statusAt(scene)).members.map(({ name, state, upstream, retainedBytes }) => ({ name, state, upstream, retainedBytes }));
    expect(members).toEqual([
      { name: 'n1', state: 'running', upstream: null, retainedBytes: null }, { name: 'n2', state: 'streaming', upstream: 'n1', retainedBytes: null }, { name: 'n3', state: 'streaming', upstream: 'n2', retainedBytes: 4096 },
    ]);
  });

  it('shows how far WAL is archived, and is degraded while it is not', () => {
    const scene = new Scene();
    expect(group(statusAt(scene)).archive).toBe(null);
    scene.spec.archive = { to: '/srv/wal', source: null, flushMs: 1000, hosts: null };
    expect(group(statusAt(scene)).archive).toMatchObject({ to: '/srv/wal', host: null, state: 'unknown', lsn: null });
    scene.decide();
    const said: ArchiveReport = { group: 'main', host: 'h1', epoch: 1, pid: 9, state: 'streaming', source: 'n1', timeline: 1, lsn: '0/80', segment: 'S', behindMs: 700, error: null, gap: null };
    const shown = (patch: Partial<ArchiveReport> = {}) => group(statusAt(scene, { archive: () => ({ ...said, ...patch }) }));
    expect(shown()).toMatchObject({ state: 'healthy', archive: { host: 'h1', pid: 9, state: 'streaming', lsn: '0/80', lagBytes: 0x80, lagMs: 700 } });
    expect(shown({ lsn: '0/100' }).archive).toMatchObject({ lagBytes: 0, lagMs: 0 });
    expect(shown({ state: 'waiting', error: { code: 'volume-full', message: 'no room' } })).toMatchObject({ state: 'degraded', reason: 'WAL is not archived: no room' });
    // Of an earlier assignment.
    expect(shown({ epoch: 0 }).archive).toMatchObject({ host: 'h1', state: 'unknown', lsn: null });
  });

  it('of a standby site is well while its members follow, names no primary, and whom the leading member follows', () => {
    const scene = new Scene();
    const endpoint = { member: 'p1', address: '10.0.0.1', port: 5432, site: 'other' };
    const upstream = { endpoint, writable: true, systemIdentifier: '7', timelines: [], newest: 1 };
    scene.site = { role: 'standby', side: 0, handOver: null, handedOver: true, peerSlot: null, name: 'site:shop', slot: 'pgorbit_site_shop', end: null, upstream };
    scene.report('n1', { inRecovery: true, state: 'streaming', received: '0/100', streamingFrom: '10.0.0.1:5432' });
    scene.decide();
    Object.assign(scene.cascades, { n2: 'n1', n3: 'n1' });
    const peer = { cluster: 'other', role: 'primary' as const, epoch: 2, contactMs: 5, answers: true, writable: true };
    const site = { role: 'standby' as const, epoch: 2, peer, handOver: null, note: null, groups: [] };
    const status = statusAt(scene, { site });
    expect(status.site).toEqual(site);
    expect(group(status)).toMatchObject({ state: 'healthy', primary: null, reason: '' });
    expect(group(status).members).toMatchObject([{ name: 'n1', role: 'replica', state: 'streaming', upstream: 'other/p1', lagBytes: null }, { name: 'n2', upstream: 'n1' }, { name: 'n3', upstream: 'n1' }]);
    expect(group(statusAt(scene, { site: { ...site, peer: { ...peer, answers: false } } }))).toMatchObject({ state: 'degraded', reason: 'other does not answer' });
    scene.report('n1', { pid: null, state: 'stopped' });
    expect(group(statusAt(scene, { site }))).toMatchObject({ state: 'down', reason: 'n1, which follows other, is stopped' });
  });

  it('is down with the primary, and says why', () => {
    const scene = new Scene().report('n1', { state: 'failed', pid: null, ready: false, error: { code: 'port-in-use', message: 'port 5432 is taken' } });
    expect(group(statusAt(scene))).toMatchObject({ state: 'down', reason: 'the primary n1 does not accept writes: port 5432 is taken' });
  });

  it('is not down when only the primary\'s agent is gone', () => {
    const scene = new Scene();
    const { n1: _, ...others } = scene.input().seen;
    expect(group(statusAt(scene, { seen: () => others }))).toMatchObject({ state: 'degraded', reason: expect.stringContaining('its primary n1 lives') });
  });

  it('is degraded until the manifest in force was decided upon, and down after `down`', () => {
    expect(group(statusAt(new Scene(), { settled: () => false }))).toMatchObject({ state: 'degraded', reason: 'the manifest has just been changed' });
    expect(group(statusAt(new Scene(), {}, true))).toMatchObject({ state: 'down', reason: expect.stringContaining('pgorbit down') });
  });

  describe('with commit: quorum', () => {
    /** n1 and n2 hold data, n3 is a logger, n4 a standby; n1 is the primary of term 7. */
    function quorum(): Scene {
      const scene = new Scene(['n1', 'n2', 'n3', 'n4']);
      scene.spec = { ...scene.spec, commit: 'quorum', storage: 'local', volume: null };
      for (const [name, role] of [['n3', 'logger'], ['n4', 'standby']] as const) {
        scene.spec.members[name]!.role = role;
        scene.record!.members[name]!.role = role;
      }
      Object.assign(scene.record!, { term: 7, voters: ['n1', 'n2', 'n3'] });
      const followers = ['n2', 'n3', 'n4'].map((name) => ({ name, term: 7, replay: name === 'n3' ? null : '0/100', flush: '0/200', synchronous: name !== 'n4' }));
      scene.report('n1', { lsn: '0/300', followers }).report('n3', { lsn: null, received: '0/200' });
      return scene;
    }
    /** As statusAt, with the reports as they are: the scene's own account of followers left out. */
    const statusOfScene = (scene: Scene) => group(statusAt(scene, { seen: () => Object.fromEntries(Object.entries(scene.reports).map(([name, report]) => [name, { report, at: scene.now }])) }));
    const promise = (scene: Scene) => {
      Object.assign(scene.record!, { term: 8, primary: null, promotion: { phase: 'promise', candidate: 'n2', timeline: 2, catchUp: null, atLeast: null, predecessors: [{ member: 'n1', host: 'h1' }], planned: false, attempts: 0, operation: null } });
      delete scene.reports['n1'];
      return scene.report('n2', { promised: { term: 8, timeline: 1, lsn: '0/200' } });
    };

    it('says who votes, who confirms, and how far a logger is', () => {
      const status = statusOfScene(quorum());
      expect(status).toMatchObject({ state: 'healthy', reason: '' });
      expect(status.members.map((member) => [member.name, member.role, member.voter, member.synchronous, member.lsn, member.lagBytes])).toEqual([
        ['n1', 'primary', true, false, '0/300', 0], ['n2', 'replica', true, true, '0/100', 0x200],
        ['n3', 'logger', true, true, '0/200', 0x100], ['n4', 'standby', false, false, '0/100', 0x200],
      ]);
    });

    it('says that nobody votes on a standby site', () => {
      const scene = quorum();
      scene.record!.standbySite = true;
      expect(statusOfScene(scene).members.map((member) => member.voter)).toEqual([false, false, false, false]);
    });

    it('is degraded while a member does not vote yet, or the voters change', () => {
      const scene = quorum();
      scene.record!.voters = ['n1', 'n2'];
      expect(statusOfScene(scene)).toMatchObject({ state: 'degraded', reason: 'n3 does not vote yet: it lacks 256 bytes of WAL' });
      scene.record!.voterChange = { number: 1, to: ['n1', 'n2', 'n3'], lsn: null };
      expect(statusOfScene(scene).reason).toContain('the voters change to n1, n2, n3');
      scene.record!.voters = [];
      scene.record!.voterChange = null;
      scene.spec = { ...scene.spec, members: { n1: scene.spec.members['n1']! } };
      scene.record!.members = { n1: scene.record!.members['n1']! };
      expect(statusOfScene(scene)).toMatchObject({ state: 'degraded', reason: 'the voters are only being settled' });
    });

    it('is degraded with one of three voters gone, and down when no commit can be acknowledged', () => {
      const scene = quorum();
      const [n2, , n4] = scene.reports['n1']!.followers;
      scene.report('n1', { followers: [n2!, n4!] }).report('n3', { state: 'failed', pid: null });
      expect(statusOfScene(scene)).toMatchObject({ state: 'degraded', reason: 'n3 is failed' });
      scene.report('n1', { followers: [{ ...n2!, term: 6 }] });
      expect(statusOfScene(scene)).toMatchObject({ state: 'down', reason: 'no commit is acknowledged: n1 waits for 1 of n2, n3, and none streams; reads go on' });
    });

    it('says who has promised while a primary is elected, and what is missing', () => {
      const scene = promise(quorum());
      expect(statusOfScene(scene)).toMatchObject({ state: 'down', reason: 'a primary is elected in term 8: n2 of the voters n1, n2, n3 promised, 2 are needed' });
      delete scene.reports['n3'];
      expect(statusOfScene(scene).reason).toContain('; n1 and n3 do not answer, and without a majority nobody may be promoted');
      Object.assign(scene.record!.promotion!, { phase: 'promote' });
      expect(statusOfScene(scene).reason).toBe('n2 is being promoted in term 8');
      Object.assign(scene.record!.promotion!, { attempts: 2 });
      expect(statusOfScene(scene).reason).toBe('n2 is being promoted in term 8; 2 tries have failed, as `pgorbit events` tells');
    });

    it('leaves loggers and standbys out of the endpoints', () => {
      expect(statusAt(quorum()).endpoints.rw).toBe('postgresql://127.0.0.1:5432,127.0.0.1:5433/postgres?target_session_attrs=read-write');
    });
  });

  it('measures lag by the primary\'s own account', () => {
    const scene = new Scene().report('n1', { lsn: '0/300' }).report('n2', { lsn: '0/100' });
    expect(group(statusAt(scene)).members[1]?.lagBytes).toBe(0x200);
  });
});
