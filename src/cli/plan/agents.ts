/** Which agents a cluster has, and which of them decides. Pure. */
import type { AgentAddress } from '../../agent/config.ts';
import { PgorbitError } from '../../errors.ts';
import type { ClusterSpec } from '../../group/model.ts';
import type { ClusterFile } from '../admin.ts';

export interface AgentPlan {
  /** Ports still to be chosen are null. */
  agents: (Omit<AgentAddress, 'port'> & { port: number | null })[];
  decider: string;
}

/**
 * The agents for `after`. A host that goes keeps its agent until its members are gone (`leaving`); the host whose
 * agent holds the cluster's state can't go. Throws `unsafe`.
 */
export function planAgents(file: ClusterFile | null, before: ClusterSpec | null, after: ClusterSpec): AgentPlan {
  const wanted = Object.values(after.hosts).map((host) => {
    const known = file?.agents.find((agent) => agent.host === host.name && agent.address === host.address);
    return { host: host.name, address: host.address, port: host.port ?? known?.port ?? null };
  });
  const leaving = before === null ? [] : (file?.agents ?? []).filter((agent) => after.hosts[agent.host] === undefined);
  const first = wanted[0];
  if (first === undefined) throw new PgorbitError('manifest-invalid', `cluster ${after.cluster} has no host`);
  if (before !== null && file !== null && after.hosts[file.decider] === undefined) {
    throw new PgorbitError('unsafe', `host ${file.decider} can't be removed: its agent holds the state of the cluster`, { hint: `put host ${file.decider} back into the manifest; it needs no member` });
  }
  const decider = file !== null && after.hosts[file.decider] !== undefined ? file.decider : first.host;
  return { agents: [...wanted, ...leaving], decider };
}
