/** A cluster's identity on this machine: its id, authority, certificates and the agents' configuration. */
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { SecretsDocument } from '../group/model.ts';
import { agentConfigFile, type AgentAddress, type AgentConfig } from '../agent/config.ts';
import { leftMs, RENEW_MS } from '../agent/credentials.ts';
import { makeHostFolders } from '../agent/folders.ts';
import { ADMIN, authorityFrom, certificatesIn, createAuthority, issueAdmin, issueHost, type Authority, type Identity } from '../agent/identity/ca.ts';
import { readAuthority, readIdentity, writeAuthority, writeIdentity } from '../agent/identity/files.ts';
import { makeKey, makeRequest, type CertificateRequest } from '../agent/identity/request.ts';
import { PgorbitError } from '../errors.ts';
import { adminDir, agentDir } from '../home.ts';
import type { ClusterFile } from './admin.ts';
import { readJson, writeJson } from './files.ts';

/** Signs what this machine has no authority for: the agents do. */
export type SignElsewhere = (request: CertificateRequest) => Promise<{ ca: string; cert: string }>;

/**
 * Makes whatever is missing of the identity that `file` describes; what is there stays. Returns the hosts whose agent
 * has to be started anew to see what changed.
 */
export async function makeIdentity(home: string, file: ClusterFile, signElsewhere: SignElsewhere): Promise<string[]> {
  const admin = adminDir(home, file.cluster);
  const issue = async (name: string, address: string): Promise<Identity> => {
    const authority = await authorityOf(admin, file.clusterId);
    if (authority !== null) return name === ADMIN ? issueAdmin(authority) : issueHost(authority, { host: name, address });
    const key = makeKey();
    return { ...(await signElsewhere(makeRequest(name, key))), key };
  };
  if (!(await isValid(admin, file.clusterId))) await writeIdentity(admin, await issue(ADMIN, ''));
  const changed: string[] = [];
  for (const agent of file.agents) {
    const dir = agentDir(home, file.cluster, agent.host);
    await makeHostFolders(home, file.cluster, agent.host);
    const renew = !(await isValid(dir, file.clusterId));
    if (renew) await writeIdentity(dir, await issue(agent.host, agent.address));
    const config: AgentConfig = { format: 1, cluster: file.cluster, clusterId: file.clusterId, host: agent.host, agents: [...file.agents, ...file.remote], founders: file.founders };
    const before = await readJson<AgentConfig>(agentConfigFile(dir));
    const same = before !== null && saysAsMuch(before, config, file.agents);
    if (!same) await writeJson(agentConfigFile(dir), config);
    if (renew || !same) changed.push(agent.host);
  }
  return changed;
}

/** Agents keep the list themselves: of those elsewhere they may know more than is known here. */
function saysAsMuch(before: AgentConfig, wanted: AgentConfig, own: readonly AgentAddress[]): boolean {
  return isDeepStrictEqual({ ...before, agents: [] }, { ...wanted, agents: [] }) && own.every((agent) => before.agents.some((known) => isDeepStrictEqual(known, agent)));
}

/** The authority of a cluster that was made here; null where its key is with the agents alone. */
async function authorityOf(admin: string, clusterId: string): Promise<Authority | null> {
  try {
    return await readAuthority(admin);
  } catch (error) {
    if (!(error instanceof PgorbitError) || error.code !== 'no-such-cluster') throw error;
  }
  if (await hasIdentity(admin)) return null;
  const authority = await createAuthority(clusterId);
  await writeAuthority(admin, authority);
  return authority;
}

/** The key of the authority, where this machine has it: the first `up` hands it to the agents. */
export async function ownAuthority(admin: string): Promise<{ cert: string; key: string } | null> {
  try {
    const { cert, key } = await readAuthority(admin);
    return { cert, key };
  } catch (error) {
    if (error instanceof PgorbitError && error.code === 'no-such-cluster') return null;
    throw error;
  }
}

/** The agents have it: a copy here would only grow old. */
export const removeOwnAuthority = (admin: string): Promise<void> => rm(join(admin, 'ca.key'), { force: true });

const hasIdentity = async (dir: string): Promise<boolean> => (await identityIn(dir)) !== null;

async function identityIn(dir: string): Promise<Identity | null> {
  try {
    return await readIdentity(dir);
  } catch (error) {
    if (error instanceof PgorbitError && error.code === 'no-such-cluster') return null;
    throw error;
  }
}

/** Is there a certificate of an authority of this cluster, with its key and some time left? */
async function isValid(dir: string, clusterId: string): Promise<boolean> {
  const identity = await identityIn(dir);
  if (identity === null) return false;
  const certificate = new X509Certificate(identity.cert);
  const authority = certificatesIn(identity.ca).find((ca) => certificate.checkIssued(new X509Certificate(ca)) && certificate.verify(new X509Certificate(ca).publicKey));
  if (authority === undefined || authorityFrom(authority, '').clusterId !== clusterId) return false;
  return certificate.checkPrivateKey(createPrivateKey(identity.key)) && leftMs(identity.cert, Date.now()) > RENEW_MS;
}

/** Accounts with random passwords of 144 bits, in letters that need no quoting anywhere. */
export function drawSecrets(): SecretsDocument {
  const account = (user: string) => ({ user, password: randomBytes(18).toString('base64url') });
  return {
    superuser: account('postgres'),
    agent: account('pgorbit_agent'),
    replication: account('pgorbit_replication'),
    monitor: account('pgorbit_monitor'),
  };
}
