/** Agents that do not run keep their ports from those of other clusters. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { agentConfigFile } from '../agent/config.ts';
import { agentDir } from '../home.ts';
import { promisedPorts } from './agents-here.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'pgorbit-agents-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

async function agent(cluster: string, host: string): Promise<void> {
  const agents = [{ host: 'h1', address: '127.0.0.1', port: 7400 }, { host: 'h2', address: '127.0.0.1', port: 7401 }, { host: 'h3', address: '10.0.0.3', port: 7400 }];
  const dir = agentDir(home, cluster, host);
  await mkdir(dir, { recursive: true });
  await writeFile(agentConfigFile(dir), JSON.stringify({ format: 1, cluster, clusterId: 'x', host, agents, founders: [] }));
}

test('the ports of this machine\'s agents of other clusters are promised, by address; those of agents elsewhere are not', async () => {
  for (const host of ['h1', 'h3']) await agent('old', host);
  expect(await promisedPorts(home, 'new', '127.0.0.1')).toEqual([7400]);
  expect(await promisedPorts(home, 'new', '10.0.0.3')).toEqual([7400]);
  expect(await promisedPorts(home, 'old', '127.0.0.1')).toEqual([]);
});
