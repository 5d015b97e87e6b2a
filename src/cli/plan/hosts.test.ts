import { describe, expect, it } from 'vitest';
import { clusterSpec, groupSpec, groupStatus, memberStatus, statusDocument } from '../testing/specs.ts';
import { planAgents } from './agents.ts';
import { hostRows, refuseInhabited, unreachableFrom } from './hosts.ts';
import { remoteHosts, volumesHere } from './where.ts';

const agent = (host: string): { host: string; address: string; port: number } => ({ host, address: '127.0.0.1', port: 7400 });
const spec = clusterSpec(['h1', 'h2', 'h3'], [groupSpec('main', { n1: ['h1', 'primary'], n2: ['h2', 'replica'] })]);

describe('where hosts are', () => {
  const remote = (patch: Partial<Parameters<typeof remoteHosts>[1]>): string[] => remoteHosts(spec, { file: null, invited: [], own: () => true, ...patch });

  it('are this machine\'s by address, unless they were invited or joined from elsewhere', () => {
    expect(remote({})).toEqual([]);
    expect(remote({ own: (address) => address !== '127.0.0.1' })).toEqual(['h1', 'h2', 'h3']);
    expect(remote({ invited: ['h2'], file: { agents: [agent('h1')], remote: [agent('h3')] } })).toEqual(['h2', 'h3']);
  });

  it('stay this machine\'s, whatever is said of them later', () => {
    expect(remote({ own: () => false, invited: ['h1'], file: { agents: [agent('h1')], remote: [] } })).toEqual(['h2', 'h3']);
  });

  it('leave the agents of other machines, and their volumes, to those', () => {
    expect(planAgents(null, null, spec, ['h2', 'h3'])).toEqual({ agents: [{ host: 'h1', address: '127.0.0.1', port: null }], founders: ['h1'] });
    expect(() => planAgents(null, null, spec, ['h1', 'h2', 'h3'])).toThrow(expect.objectContaining({ code: 'host-unreachable' }));
    expect(volumesHere(spec, ['h2', 'h3']).map((volume) => volume.name)).toEqual(['main']);
    expect(volumesHere(spec, ['h1', 'h2'])).toEqual([]);
  });
});

describe('pgorbit host', () => {
  const status = statusDocument([groupStatus('main', [memberStatus('n1', { role: 'primary', host: 'h1' }), memberStatus('n2', { host: 'h2' }), memberStatus('n9', { host: 'h3' })])]);

  it('ls tells who has joined, and who has a token', () => {
    const tokens = [{ host: 'h2', expires: '2026-01-01T00:00:00.000Z', used: false }, { host: 'h3', expires: '2026-01-03T00:00:00.000Z', used: false }];
    const rows = hostRows(spec, status, { agents: [], tokens }, Date.parse('2026-01-02T00:00:00Z'));
    expect(rows.map(({ host, state, token }) => [host, state, token])).toEqual([['h1', 'leader', null], ['h2', 'not joined', 'expired'], ['h3', 'not joined', 'waits']]);
    // One that is being removed still lives there.
    expect(rows[2]?.members).toEqual(['n9']);
  });

  it('remove names the members that are in the way', () => {
    expect(() => refuseInhabited(spec, status, 'h2')).toThrow(expect.objectContaining({ code: 'unsafe', message: 'n2 lives on host h2', hint: '`pgorbit remove n2`, then `pgorbit host remove h2`' }));
    expect(() => refuseInhabited(spec, status, 'h1')).toThrow(expect.objectContaining({ hint: expect.stringContaining('`pgorbit switchover`') }));
    expect(() => refuseInhabited(clusterSpec(['h1'], []), statusDocument([]), 'h1')).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it('add warns where the agents can only be reached from this machine', () => {
    expect(unreachableFrom(['127.0.0.1', '::1'], '10.0.0.2')).toContain("can't reach");
    expect(unreachableFrom(['127.0.0.1', '10.0.0.1'], '10.0.0.2')).toBeNull();
    expect(unreachableFrom(['127.0.0.1'], '127.0.0.2')).toBeNull();
  });
});
