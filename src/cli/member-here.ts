/** A member that may become a cluster of its own, on this machine, as a command reaches it: by the cluster's agents, or by its own agent alone. */
import { launchAgent, runningAgent } from '../agent/launch.ts';
import { readIdentity } from '../agent/identity/files.ts';
import { RpcClient } from '../agent/rpc/client.ts';
import type { Calls, StatusDocument } from '../agent/api.ts';
import { PgorbitError } from '../errors.ts';
import type { NewOwner } from '../group/member/parted.ts';
import type { ClusterSpec, GroupSpec, MemberSpec } from '../group/model.ts';
import { agentDir } from '../home.ts';
import { sleep } from '../lifecycle.ts';
import { listAgents } from './agents-here.ts';
import { listClusters, readCluster } from './admin.ts';
import { Cluster, isLeaderless } from './cluster.ts';
import type { Context } from './context.ts';
import { chooseCluster } from './plan/select.ts';

/** From an agent's start until it knows its cluster, or has nobody to learn it from. */
const BEGIN_MS = 10_000;
const BEGIN_POLL_MS = 100;

export interface MemberHere {
  spec: ClusterSpec;
  group: GroupSpec;
  member: MemberSpec;
  /** Whose its data are since it left, or null. */
  owner: NewOwner | null;
  /** Null while nobody leads its cluster, or this machine may not manage it. */
  status: StatusDocument | null;
  /** Its host's agent; to be closed. */
  agent: RpcClient;
}

/**
 * Finds the standby that `wanted` (`s1` or `main/s1`) means; where nobody leads its cluster, any member with data of its own.
 * @throws `no-such-member`, `usage` for another member, `host-unreachable` where its host is another machine
 */
export async function findMember(context: Context, wanted: string): Promise<MemberHere> {
  const agents = await listAgents(context.home);
  const name = chooseCluster([...new Set([...(await listClusters(context.home)), ...agents.map((one) => one.cluster)])].sort(), context.wantedCluster, context.home);
  const here = agents.filter((one) => one.cluster === name);
  const status = await askStatus(context, name);
  // Those that run know whose host it is: no other is started for it.
  const runs = await Promise.all(here.map(async ({ host }) => ({ host, agent: await runningAgent(agentDir(context.home, name, host)) })));
  for (const { host } of runs.toSorted((a, b) => Number(a.agent === null) - Number(b.agent === null))) {
    const { document } = await hereOf(context, name, host);
    if (document === null) continue;
    const { group, member } = memberOf(document.spec, wanted, status === null);
    if (!here.some((one) => one.host === member.host)) continue;
    const { parted } = await hereOf(context, name, member.host);
    const owner = parted.find((one) => one.group === group.name && one.member === member.name)?.owner ?? null;
    return { spec: document.spec, group, member, owner, status, agent: await openAgent(context, name, member.host) };
  }
  throw new PgorbitError('host-unreachable', `${wanted} of cluster ${name} does not live on this machine`, { hint: 'run the command on the machine of its host; `pgorbit status` names the host' });
}

/** What a host's agent knows. One that has just begun reads its documents first. */
async function hereOf(context: Context, cluster: string, host: string): Promise<Calls['GET /v1/here']['answer']> {
  const agent = await openAgent(context, cluster, host);
  try {
    for (const end = performance.now() + BEGIN_MS; ; await sleep(BEGIN_POLL_MS, context.signal)) {
      const answer = await agent.call('GET /v1/here', {}, { signal: context.signal });
      if (answer.document !== null || performance.now() > end) return answer;
    }
  } finally {
    agent.close();
  }
}

function memberOf(spec: ClusterSpec, wanted: string, lost: boolean): { group: GroupSpec; member: MemberSpec } {
  const name = wanted.slice(wanted.indexOf('/') + 1);
  const groups = Object.values(spec.groups).filter((group) => !wanted.includes('/') || group.name === wanted.slice(0, wanted.indexOf('/')));
  const group = groups.find((one) => Object.hasOwn(one.members, name));
  const member = group?.members[name];
  if (group === undefined || member === undefined) {
    const standbys = Object.values(spec.groups).flatMap((one) => Object.values(one.members)).filter((one) => one.role === 'standby').map((one) => one.name);
    throw new PgorbitError('no-such-member', `cluster ${spec.cluster} has no member ${JSON.stringify(wanted)}`, { hint: `its standbys are: ${standbys.join(', ') || 'none'}` });
  }
  const free = member.role === 'standby' || (lost && group.storage === 'local' && member.role !== 'logger');
  if (!free) throw new PgorbitError('usage', `${member.name} is a ${member.role}, not a standby`, { hint: `while the agents of ${spec.cluster} have a majority: pgorbit switchover --to ${member.name}, or pgorbit promote ${member.name} --force` });
  return { group, member };
}

/** Null where nobody can answer for the cluster. */
async function askStatus(context: Context, name: string): Promise<StatusDocument | null> {
  const file = await readCluster(context.home, name);
  if (file === null || (await isLeaderless(context.home, file))) return null;
  const cluster = await Cluster.open(context, name);
  try {
    return await cluster.call('GET /v1/status', {}, { signal: context.signal });
  } catch (error) {
    if (error instanceof PgorbitError && (error.code === 'agent-unreachable' || error.code === 'timed-out')) return null;
    throw error;
  } finally {
    cluster.close();
  }
}

/** The agent of a host of this machine, started where it does not run; with its own certificate, as another may not be here. */
export async function openAgent(context: Context, cluster: string, host: string): Promise<RpcClient> {
  const dir = agentDir(context.home, cluster, host);
  if ((await runningAgent(dir)) === null) await launchAgent({ home: context.home, cluster, host });
  const listens = (await runningAgent(dir))?.listens ?? null;
  if (listens === null) throw new PgorbitError('agent-unreachable', `the agent of host ${host} of cluster ${cluster} does not listen`, { hint: '`pgorbit agent --background` starts it' });
  return new RpcClient({ ...listens, host }, await readIdentity(dir));
}
