/** Small clusters for tests. */
import type { GroupStatus, MemberStatus, StatusDocument } from '../../agent/api.ts';
import type { ClusterSpec, GroupSpec } from '../../group/model.ts';
import { GROUP } from '../../manifest/defaults.ts';

export function groupSpec(name: string, members: Record<string, [host: string, role: 'primary' | 'replica', port?: number]>, settings: Record<string, string> = {}): GroupSpec {
  return {
    ...GROUP, name, volume: 'main', settings,
    members: Object.fromEntries(Object.entries(members).map(([member, [host, role, port]]) => [member, { name: member, host, role, port: port ?? null, volume: null, path: null, source: null, rate: null }])),
  };
}

export function clusterSpec(hosts: string[], groups: GroupSpec[]): ClusterSpec {
  return {
    cluster: 'shop',
    engine: { kind: 'postgres', version: null, bin: null },
    hosts: Object.fromEntries(hosts.map((host) => [host, { name: host, address: '127.0.0.1', port: null }])),
    volumes: { main: { name: 'main', path: '/v', driver: 'auto', size: null } },
    groups: Object.fromEntries(groups.map((group) => [group.name, group])),
  };
}

export function memberStatus(name: string, patch: Partial<MemberStatus> = {}): MemberStatus {
  return {
    name, role: 'replica', host: 'h1', address: '127.0.0.1', port: 5433, pid: 42, state: 'streaming', step: null, timeline: 1,
    lsn: '0/3000060', lagBytes: 0, lagMs: 0, upstream: null, retainedBytes: null, voter: false, synchronous: false, pendingRestart: [], error: null, ...patch,
  };
}

export function groupStatus(name: string, members: MemberStatus[], patch: Partial<GroupStatus> = {}): GroupStatus {
  return {
    name, storage: 'shared', commit: 'async', term: 1, primary: members.find((member) => member.role === 'primary')?.name ?? null, state: 'healthy',
    reason: '', engine: 'PostgreSQL 18.4 (embedded)', operation: null, results: [], archive: null, members, ...patch,
  };
}

export function statusDocument(groups: GroupStatus[], patch: Partial<StatusDocument> = {}): StatusDocument {
  return { cluster: 'shop', agents: [{ host: 'h1', address: '127.0.0.1', port: 7400, pid: 7, state: 'leader', voter: true }], groups, volumes: [], endpoints: { rw: null, ro: null, split: null }, ...patch };
}
