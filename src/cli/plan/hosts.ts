/** The hosts of a cluster as `pgorbit host` shows them. Pure. */
import type { Calls, StatusDocument } from '../../agent/api.ts';
import { PgorbitError } from '../../errors.ts';
import type { ClusterSpec } from '../../group/model.ts';

export interface HostRow {
  host: string;
  address: string;
  /** Null until its agent has chosen one. */
  port: number | null;
  state: 'leader' | 'follower' | 'unreachable' | 'not joined';
  voter: boolean;
  members: string[];
  /** For a host that has not joined: whether it has a token. */
  token: 'waits' | 'expired' | null;
}

export function hostRows(spec: ClusterSpec, status: StatusDocument, hosts: Calls['GET /v1/hosts']['answer'], now: number): HostRow[] {
  return Object.values(spec.hosts).map((host) => {
    const agent = status.agents.find((one) => one.host === host.name);
    const joined = agent !== undefined || hosts.agents.some((one) => one.host === host.name);
    const token = hosts.tokens.find((one) => one.host === host.name);
    return {
      host: host.name, address: agent?.address ?? host.address, port: agent?.port ?? host.port,
      state: agent?.state ?? (joined ? 'unreachable' : 'not joined'), voter: agent?.voter ?? false,
      members: membersOn(spec, status, host.name),
      token: joined || token === undefined || token.used ? null : Date.parse(token.expires) > now ? 'waits' : 'expired',
    };
  });
}

/** By the manifest, and by what has not gone yet. */
function membersOn(spec: ClusterSpec, status: StatusDocument, host: string): string[] {
  const wanted = Object.values(spec.groups).flatMap((group) => Object.values(group.members).filter((member) => member.host === host).map((member) => member.name));
  const there = status.groups.flatMap((group) => group.members.filter((member) => member.host === host).map((member) => member.name));
  return [...new Set([...wanted, ...there])];
}

/** Throws `unsafe` while members live on the host, and `usage` for the last host. */
export function refuseInhabited(spec: ClusterSpec, status: StatusDocument, host: string): void {
  const members = membersOn(spec, status, host);
  if (members.length > 0) {
    const primary = members.find((member) => status.groups.some((group) => group.primary === member));
    throw new PgorbitError('unsafe', `${members.join(', ')} ${members.length === 1 ? 'lives' : 'live'} on host ${host}`, {
      hint: `${primary === undefined ? '' : `\`pgorbit switchover\` takes the primary's role from ${primary}; `}\`pgorbit remove ${members.join(' ')}\`, then \`pgorbit host remove ${host}\``,
    });
  }
  if (spec.hosts[host] !== undefined && Object.keys(spec.hosts).length === 1) throw new PgorbitError('usage', `${host} is the last host`, { hint: '`pgorbit destroy` removes the cluster as a whole' });
}

/** Why a machine at `address` can't reach any of the agents, as far as it can be told from here; null otherwise. */
export function unreachableFrom(agents: readonly string[], address: string): string | null {
  const loopback = (one: string): boolean => one.startsWith('127.') || one === '::1' || one === 'localhost';
  if (loopback(address) || agents.length === 0 || !agents.every(loopback)) return null;
  return `the agents listen on ${[...new Set(agents)].join(', ')}, which another machine can't reach: give the hosts of this machine an address of its network in the manifest`;
}
