/** What is known of a cluster while no agent can speak for it: its processes on this machine, seen without them. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentStatus, GroupStatus, MemberStatus, StatusDocument } from '../agent/api.ts';
import { runningAgent } from '../agent/launch.ts';
import { adoptPostgres } from '../engine/postmaster.ts';
import { adoptLogger } from '../group/logger/process.ts';
import { placeOf } from '../group/member/place.ts';
import type { ClusterSpec, GroupSpec, MemberSpec, Role } from '../group/model.ts';
import { agentDir } from '../home.ts';
import { readApplied, type ClusterFile } from './admin.ts';
import { storageOf } from './plan/storage.ts';

export async function readLocalStatus(home: string, file: ClusterFile): Promise<StatusDocument> {
  const applied = await readApplied(home, file.cluster);
  const agents = await Promise.all(file.agents.map(async (agent): Promise<AgentStatus> => {
    const pid = (await runningAgent(agentDir(home, file.cluster, agent.host)))?.pid ?? null;
    return { ...agent, pid, state: pid === null ? 'unreachable' : 'follower', voter: file.founders.includes(agent.host) };
  }));
  for (const agent of file.remote) agents.push({ ...agent, pid: null, state: 'unreachable', voter: true });
  const spec = applied?.spec ?? null;
  const groups = spec === null ? [] : await Promise.all(Object.values(spec.groups).map((group) => readGroup(home, file, spec, group, agents)));
  return { cluster: file.cluster, agents, groups, volumes: [], endpoints: { rw: null, ro: null, split: null } };
}

async function readGroup(home: string, file: ClusterFile, spec: ClusterSpec, group: GroupSpec, agents: readonly AgentStatus[]): Promise<GroupStatus> {
  const members = await Promise.all(Object.values(group.members).map((member) => readMember(home, file, spec, group, member)));
  const primary = members.find((member) => member.role === 'primary' && member.pid !== null) ?? null;
  const alive = agents.filter((agent) => agent.pid !== null).length;
  const deciding = alive === 0 ? 'no agent runs' : `${alive} of ${agents.length} agents ${alive === 1 ? 'runs' : 'run'}, and none leads`;
  const alone = primary === null && group.storage === 'local' && group.withoutMajority === 'stop';
  const watched = !members.some((member) => member.pid !== null) ? 'no member runs on this machine'
    : alone ? 'the primary has stopped, because another might take over where it cannot see it; the others go on, for readers' : 'PostgreSQL goes on, but nothing is repaired';
  return {
    name: group.name,
    storage: group.storage,
    commit: group.commit,
    term: 0,
    primary: primary?.name ?? null,
    state: primary === null ? 'down' : 'degraded',
    reason: `${deciding}: ${watched}; \`pgorbit up\` starts the agents`,
    engine: null,
    operation: null,
    results: [],
    archive: null,
    members,
  };
}

async function readMember(home: string, file: ClusterFile, spec: ClusterSpec, group: GroupSpec, member: MemberSpec): Promise<MemberStatus> {
  const { dataDir } = placeOf({ home, ...storageOf(spec, group, member), cluster: file.cluster, clusterId: file.clusterId, group: group.name, member: member.name, host: member.host });
  const postmaster = member.role === 'logger' ? adoptLogger(dataDir) : await adoptPostgres(dataDir);
  postmaster?.release();
  const standby = await access(join(dataDir, 'standby.signal')).then(() => true, () => false);
  // A promotion removes the file, so it tells the role better than the manifest, which names the first primary.
  const role: Role = postmaster === null || member.role === 'logger' ? member.role : !standby ? 'primary' : member.role === 'primary' ? 'replica' : member.role;
  return {
    name: member.name, role, host: member.host, address: spec.hosts[member.host]?.address ?? '', port: member.port ?? 0, pid: postmaster?.id.pid ?? null,
    state: postmaster === null ? 'stopped' : 'running', step: null, timeline: null, lsn: null, lagBytes: null, lagMs: null, upstream: null, retainedBytes: null, voter: false, synchronous: false, pendingRestart: [], error: null,
  };
}
