/** Ports that a manifest leaves open: kept once they are settled, chosen once where they are new. Pure. */
import type { AgentAddress } from '../../agent/config.ts';
import type { ClusterSpec } from '../../group/model.ts';

/** Where PostgreSQL's ports are looked for from; 5432 itself is left to a server that the machine may have already. */
export const FIRST_MEMBER_PORT = 5433;
/** Where agents' ports are looked for from. */
export const FIRST_AGENT_PORT = 7400;

/** `after` with the ports that `before` had settled for the same hosts and members, where it names none itself. */
export function keepPorts(before: ClusterSpec | null, after: ClusterSpec, agents: readonly AgentAddress[] = []): ClusterSpec {
  const spec = structuredClone(after);
  for (const host of Object.values(spec.hosts)) {
    const agent = agents.find((one) => one.host === host.name && one.address === host.address);
    host.port ??= agent?.port ?? null;
  }
  for (const group of Object.values(spec.groups)) {
    for (const member of Object.values(group.members)) {
      const old = before?.groups[group.name]?.members[member.name];
      // On another host it is another address: the old port says nothing there.
      if (old !== undefined && old.host === member.host) member.port ??= old.port;
    }
  }
  return spec;
}

/** The spec in force with the ports of agents that joined after it was applied. */
export function withAgentPorts(spec: ClusterSpec | null, agents: readonly AgentAddress[]): ClusterSpec | null {
  if (spec === null) return null;
  const hosts = Object.entries(spec.hosts).map(([name, host]) => [name, { ...host, port: host.port ?? agents.find((agent) => agent.host === name)?.port ?? null }] as const);
  return { ...spec, hosts: Object.fromEntries(hosts) };
}

/** A port for a member on a host that can't be asked yet: the first that the cluster itself does not use there. */
export function unaskedPort(spec: ClusterSpec, address: string): number {
  const used = usedPorts(spec, address);
  let port = FIRST_MEMBER_PORT;
  while (used.includes(port)) port += 1;
  return port;
}

/** A member whose port is still open. */
export interface OpenPort {
  group: string;
  member: string;
  host: string;
  address: string;
}

export function openPorts(spec: ClusterSpec): OpenPort[] {
  return Object.values(spec.groups).flatMap((group) =>
    Object.values(group.members)
      .filter((member) => member.port === null)
      .map((member) => ({ group: group.name, member: member.name, host: member.host, address: spec.hosts[member.host]?.address ?? '127.0.0.1' })),
  );
}

/** Ports that the cluster itself has on an address, its agents' too. */
export function usedPorts(spec: ClusterSpec, address: string): number[] {
  const hosts = Object.values(spec.hosts).filter((host) => host.address === address);
  const names = new Set(hosts.map((host) => host.name));
  const members = Object.values(spec.groups).flatMap((group) => Object.values(group.members).filter((member) => names.has(member.host)));
  return [...hosts, ...members].map((one) => one.port).filter((port) => port !== null);
}

/** The members of `after` that `before` does not have in the same place: what has to be checked before it is made. */
export function newMembers(before: ClusterSpec | null, after: ClusterSpec): { group: string; member: string; host: string; address: string; port: number | null }[] {
  return Object.values(after.groups).flatMap((group) =>
    Object.values(group.members)
      .filter((member) => {
        const old = before?.groups[group.name]?.members[member.name];
        return old === undefined || old.host !== member.host || old.port !== member.port;
      })
      .map((member) => ({ group: group.name, member: member.name, host: member.host, address: after.hosts[member.host]?.address ?? '127.0.0.1', port: member.port })),
  );
}
