/** The agents that this machine's PGORBIT_HOME holds, whoever manages their clusters. */
import { readdir } from 'node:fs/promises';
import { agentConfigFile, type AgentConfig } from '../agent/config.ts';
import { PgorbitError } from '../errors.ts';
import { agentDir, clusterDir } from '../home.ts';
import { readJson } from './files.ts';

export async function listAgents(home: string): Promise<AgentConfig[]> {
  const found: AgentConfig[] = [];
  for (const cluster of await foldersIn(home)) {
    for (const host of await foldersIn(clusterDir(home, cluster))) {
      const config = await readJson<AgentConfig>(agentConfigFile(agentDir(home, cluster, host)));
      if (config?.cluster === cluster && config.host === host) found.push(config);
    }
  }
  return found;
}

/** Ports of an address that agents of other clusters have, run they or not: taken by this one's, they could not come back. */
export async function promisedPorts(home: string, cluster: string, address: string): Promise<number[]> {
  const others = (await listAgents(home)).filter((one) => one.cluster !== cluster);
  return others.flatMap((one) => one.agents.filter((agent) => agent.host === one.host && agent.address === address).map(({ port }) => port));
}

/** The agents that are meant: those of the named cluster and host, or all. Throws `no-such-cluster` where there is none. */
export async function chooseAgents(home: string, cluster: string | undefined, host: string | undefined): Promise<AgentConfig[]> {
  const all = await listAgents(home);
  const chosen = all.filter((one) => (cluster === undefined || one.cluster === cluster) && (host === undefined || one.host === host));
  if (chosen.length > 0) return chosen;
  const list = all.map((one) => `${one.host} of ${one.cluster}`).join(', ');
  throw new PgorbitError('no-such-host', `${home} has no ${host === undefined ? 'agent' : `agent of host ${host}`}${cluster === undefined ? '' : ` of cluster ${cluster}`}`, {
    hint: list === '' ? '`pgorbit up` makes a cluster; `pgorbit agent --join TOKEN` joins one' : `it has those of: ${list}`,
  });
}

async function foldersIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort();
}
