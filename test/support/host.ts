/** A host of a test cluster that runs on one machine: its agent, and everything that runs for its members. */
import { runningAgent } from '../../src/agent/pid-file.ts';
import { identify, sendSignal, withDescendants } from '../../src/engine/proc.ts';
import { agentDir } from '../../src/home.ts';
import type { TestCluster } from './cluster.ts';

export async function processesOf(cluster: TestCluster, host: string): Promise<number[]> {
  const agent = await runningAgent(agentDir(cluster.home, cluster.name, host));
  const members = (await cluster.group()).members.filter((one) => one.host === host).flatMap(({ pid }) => pid ?? []);
  // The agent first: it must not see its members die before it does.
  return withDescendants([...(agent === null ? [] : [agent.pid]), ...members]);
}

export function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) if (identify(pid) !== null) sendSignal(pid, name);
}
