/** This machine becomes a host of a cluster, or may manage one, by a token. Its private key is made here and stays here. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { agentConfigFile, type AgentAddress, type AgentConfig } from '../agent/config.ts';
import { makeHostFolders } from '../agent/folders.ts';
import { ADMIN } from '../agent/identity/ca.ts';
import { writeIdentity } from '../agent/identity/files.ts';
import { makeKey, makeRequest } from '../agent/identity/request.ts';
import { decodeToken } from '../agent/identity/token.ts';
import { findPort } from '../agent/ports.ts';
import { askAsGuest } from '../agent/rpc/guest.ts';
import { PgorbitError } from '../errors.ts';
import { adminDir, agentDir, clusterDir } from '../home.ts';
import { readCluster, sha256, writeApplied, writeCluster, writeManifest, type ClusterFile } from './admin.ts';
import { listAgents, promisedPorts } from './agents-here.ts';
import { withCluster } from './cluster.ts';
import type { Context } from './context.ts';
import { readJson, readText, writeJson, writeWhole } from './files.ts';
import { removeOwnAuthority } from './identity.ts';
import { FIRST_AGENT_PORT } from './plan/ports.ts';

export interface Joined {
  cluster: string;
  agent: AgentAddress;
}

/**
 * Gets a certificate for the token's host and writes what its agent needs. May be repeated with the same token when it
 * was interrupted. Throws `token-invalid`, `agent-unreachable`, `host-unreachable`, `port-in-use`.
 */
export async function joinCluster(context: Context, text: string): Promise<Joined> {
  const token = decodeToken(text, 'join');
  const { cluster, name, address } = token;
  const dir = agentDir(context.home, cluster, name);
  if ((await readJson<AgentConfig>(agentConfigFile(dir))) !== null) {
    throw new PgorbitError('usage', `this machine is host ${name} of cluster ${cluster} already`, { hint: `\`pgorbit agent --cluster ${cluster} --host ${name} --background\` starts its agent` });
  }
  // Before the token is spent.
  const port = await findPort({ address, from: token.port ?? FIRST_AGENT_PORT, except: token.port === null ? await promisedPorts(context.home, cluster, address) : [], exactly: token.port !== null });
  if (port === null) throw new PgorbitError('port-in-use', `port ${token.port} of ${address}, meant for the agent of host ${name}, is in use`, { hint: `\`ss -ltnp sport = :${token.port}\` names who has it` });
  await makeHostFolders(context.home, cluster, name);
  const key = await keyIn(dir);
  context.progress.step(`ask cluster ${cluster} to let host ${name} in`);
  const answer = await askAsGuest(token, 'POST /v1/join', { name, secret: token.secret, port, request: makeRequest(name, key) });
  await writeIdentity(dir, { ca: answer.ca, cert: answer.cert, key });
  const { clusterId, agents, founders } = answer;
  await writeJson(agentConfigFile(dir), { format: 1, cluster, clusterId, host: name, agents, founders } satisfies AgentConfig);
  context.progress.done();
  return { cluster, agent: { host: name, address, port } };
}

/** Gets a certificate for this machine's command line, and what it needs of the cluster. */
export async function logIn(context: Context, text: string): Promise<string> {
  const token = decodeToken(text, 'login');
  const { cluster } = token;
  const before = await readCluster(context.home, cluster);
  const key = await keyIn(adminDir(context.home, cluster));
  context.progress.step(`ask cluster ${cluster} for a certificate`);
  const answer = await askAsGuest(token, 'POST /v1/login', { name: token.name, secret: token.secret, request: makeRequest(ADMIN, key) });
  if (before !== null && before.clusterId !== answer.clusterId) {
    throw new PgorbitError('other-cluster', `${clusterDir(context.home, cluster)} holds another cluster of that name (id ${before.clusterId})`, { hint: 'set PGORBIT_HOME to another folder' });
  }
  await writeIdentity(adminDir(context.home, cluster), { ca: answer.ca, cert: answer.cert, key });
  // It may be one that has been replaced since.
  await removeOwnAuthority(adminDir(context.home, cluster));
  const here = new Set((await listAgents(context.home)).filter((one) => one.cluster === cluster).map((one) => one.host));
  const file: ClusterFile = {
    format: 1, cluster, clusterId: answer.clusterId, founders: answer.founders,
    agents: answer.agents.filter((agent) => here.has(agent.host)), remote: answer.agents.filter((agent) => !here.has(agent.host)),
  };
  await writeCluster(context.home, file);
  await takeOver(context, cluster);
  context.progress.done();
  return cluster;
}

/** The manifest in force, for commands that edit it. */
async function takeOver(context: Context, name: string): Promise<void> {
  const { document } = await withCluster(context, (cluster) => cluster.call('GET /v1/cluster', {}, { signal: context.signal }), name);
  if (document === null) return;
  await writeManifest(context.home, name, document.manifest);
  await writeApplied(context.home, name, { source: null, baseDir: context.cwd, sha256: sha256(document.manifest), spec: document.spec });
}

/** The key of an attempt that was interrupted: with it the same token is good once more. */
async function keyIn(dir: string): Promise<string> {
  const file = join(dir, 'tls.key');
  if ((await readText(file)) !== null) return readFile(file, 'utf8');
  const key = makeKey();
  await writeWhole(file, key);
  return key;
}
