/**
 * What an agent must know before it can ask anyone: written once by `pgorbit up` into agent/agent.json (mode 0600),
 * beside the agent's certificate.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PgorbitError } from '../errors.ts';

export interface AgentAddress {
  host: string;
  address: string;
  port: number;
}

export interface AgentConfig {
  format: 1;
  cluster: string;
  clusterId: string;
  host: string;
  /** Every agent of the cluster, this one too. */
  agents: AgentAddress[];
  /** The hosts whose agents began the cluster together; an agent that joined later has none, and is added by the others. */
  founders: string[];
}

export const agentConfigFile = (agentDir: string): string => join(agentDir, 'agent.json');

export async function readAgentConfig(agentDir: string): Promise<AgentConfig> {
  const file = agentConfigFile(agentDir);
  try {
    return JSON.parse(await readFile(file, 'utf8')) as AgentConfig;
  } catch (cause) {
    throw new PgorbitError('state-corrupt', `the agent's configuration ${file} can't be read: ${(cause as Error).message}`, {
      hint: 'run `pgorbit up` again: it writes the file anew',
      cause,
    });
  }
}

/** The address of `host`'s agent; throws `no-such-host`. */
export function agentOf(config: Pick<AgentConfig, 'agents' | 'cluster'>, host: string): AgentAddress {
  const found = config.agents.find((agent) => agent.host === host);
  if (found === undefined) throw new PgorbitError('no-such-host', `cluster ${config.cluster} has no host ${host}`);
  return found;
}
