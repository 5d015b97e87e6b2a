/** Which agents a cluster has. Pure. */
import type { AgentAddress } from '../../agent/config.ts';
import { PgorbitError } from '../../errors.ts';
import type { ClusterSpec } from '../../group/model.ts';
import type { ClusterFile } from '../admin.ts';

export interface AgentPlan {
  /** Ports still to be chosen are null. */
  agents: (Omit<AgentAddress, 'port'> & { port: number | null })[];
  founders: string[];
}

/**
 * The agents of this machine for `after`, whose hosts `remote` run elsewhere. A host that goes keeps its agent until its members are gone (`leaving`).
 */
export function planAgents(file: ClusterFile | null, before: ClusterSpec | null, after: ClusterSpec, remote: readonly string[] = []): AgentPlan {
  const wanted = Object.values(after.hosts).filter((host) => !remote.includes(host.name)).map((host) => {
    const known = file?.agents.find((agent) => agent.host === host.name && agent.address === host.address);
    return { host: host.name, address: host.address, port: host.port ?? known?.port ?? null };
  });
  const leaving = before === null ? [] : (file?.agents ?? []).filter((agent) => after.hosts[agent.host] === undefined);
  if (wanted.length === 0 && remote.length === 0) throw new PgorbitError('manifest-invalid', `cluster ${after.cluster} has no host`);
  if (wanted.length === 0 && file === null) throw noneHere(after);
  // Until the first manifest was applied there is no state yet, and the founders are whom the manifest names now.
  const founders = file === null || before === null ? wanted.map((agent) => agent.host) : file.founders;
  return { agents: [...wanted, ...leaving], founders };
}

function noneHere({ hosts }: ClusterSpec): PgorbitError {
  const list = Object.values(hosts).map((host) => `${host.name} (${host.address})`).join(', ');
  return new PgorbitError('host-unreachable', `none of the hosts is this machine: ${list}`, {
    hint: 'run `pgorbit up` on one of them, or give one an address of this machine, such as 127.0.0.1; PGORBIT_LOCAL_ADDRESSES says which addresses are',
  });
}
