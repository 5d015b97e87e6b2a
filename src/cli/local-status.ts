/** What is known of a cluster while none of its agents answers. */
import type { GroupStatus, StatusDocument } from '../agent/api.ts';
import type { GroupSpec } from '../group/model.ts';
import { readApplied, type ClusterFile } from './admin.ts';

export async function readLocalStatus(home: string, file: ClusterFile): Promise<StatusDocument> {
  const applied = await readApplied(home, file.cluster);
  const addressOf = (host: string): string => file.agents.find((agent) => agent.host === host)?.address ?? '';
  return {
    cluster: file.cluster,
    agents: file.agents.map((agent) => ({ ...agent, pid: null, state: 'unreachable', voter: file.founders.includes(agent.host) })),
    groups: Object.values(applied?.spec?.groups ?? {}).map((group) => unknownGroup(group, addressOf)),
    volumes: [],
    endpoints: { rw: null, ro: null, split: null },
  };
}

function unknownGroup(group: GroupSpec, addressOf: (host: string) => string): GroupStatus {
  return {
    name: group.name,
    storage: group.storage,
    commit: group.commit,
    term: 0,
    primary: null,
    state: 'down',
    reason: 'no agent answers, so nothing is known of its members; `pgorbit up` starts the agents',
    engine: null,
    operation: null,
    results: [],
    members: Object.values(group.members).map((member) => ({
      name: member.name, role: member.role, host: member.host, address: addressOf(member.host), port: member.port ?? 0, pid: null,
      state: 'unknown', step: null, timeline: null, lsn: null, lagBytes: null, lagMs: null, synchronous: false, pendingRestart: [], error: null,
    })),
  };
}
