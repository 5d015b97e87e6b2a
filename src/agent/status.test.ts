import { describe, expect, it } from 'vitest';
import { Scene } from '../group/testing/build.ts';
import type { ClusterDocument } from './api.ts';
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
    heard: new Map([['h2', { at: scene.now, pid: 22 }]]), leader: { host: 'h1', pid: 11 }, voters: ['h1', 'h2'], settled: () => true,
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

  it('measures lag by the primary\'s own account', () => {
    const scene = new Scene().report('n1', { lsn: '0/300' }).report('n2', { lsn: '0/100' });
    expect(group(statusAt(scene)).members[1]?.lagBytes).toBe(0x200);
  });
});
