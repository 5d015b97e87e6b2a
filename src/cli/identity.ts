/** A cluster's identity on this machine: its id, authority, certificates and the agents' configuration. */
import { randomBytes, X509Certificate } from 'node:crypto';
import type { SecretsDocument } from '../group/model.ts';
import { agentConfigFile, type AgentConfig } from '../agent/config.ts';
import { makeHostFolders } from '../agent/folders.ts';
import { createAuthority, issueAdmin, issueHost, type Authority, type Identity } from '../agent/identity/ca.ts';
import { readAuthority, readIdentity, writeAuthority, writeIdentity } from '../agent/identity/files.ts';
import { PgorbitError } from '../errors.ts';
import { adminDir, agentDir } from '../home.ts';
import type { ClusterFile } from './admin.ts';
import { readText, writeWhole } from './files.ts';

/** Certificates are made anew when they have less than this left, ms. */
const RENEW_MS = 90 * 24 * 3_600_000;

/**
 * Makes whatever is missing of the identity that `file` describes; what is there stays. Returns the hosts whose agent
 * has to be started anew to see what changed.
 */
export async function makeIdentity(home: string, file: ClusterFile): Promise<string[]> {
  const admin = adminDir(home, file.cluster);
  const authority = await authorityOf(admin, file.clusterId);
  if (!(await isValid(admin, authority))) await writeIdentity(admin, await issueAdmin(authority));
  const changed: string[] = [];
  for (const agent of file.agents) {
    const dir = agentDir(home, file.cluster, agent.host);
    await makeHostFolders(home, file.cluster, agent.host);
    const renew = !(await isValid(dir, authority));
    if (renew) await writeIdentity(dir, await issueHost(authority, agent));
    const config: AgentConfig = { format: 1, cluster: file.cluster, clusterId: file.clusterId, host: agent.host, agents: file.agents, founders: file.founders };
    const text = `${JSON.stringify(config, null, 2)}\n`;
    const before = await readText(agentConfigFile(dir));
    if (before !== text) await writeWhole(agentConfigFile(dir), text);
    if (renew || before !== text) changed.push(agent.host);
  }
  return changed;
}

async function authorityOf(admin: string, clusterId: string): Promise<Authority> {
  try {
    return await readAuthority(admin);
  } catch (error) {
    if (!(error instanceof PgorbitError) || error.code !== 'no-such-cluster') throw error;
  }
  const authority = await createAuthority(clusterId);
  await writeAuthority(admin, authority);
  return authority;
}

/** Is there a certificate of this authority with some time left? */
async function isValid(dir: string, authority: Authority): Promise<boolean> {
  let identity: Identity;
  try {
    identity = await readIdentity(dir);
  } catch (error) {
    if (error instanceof PgorbitError && error.code === 'no-such-cluster') return false;
    throw error;
  }
  const certificate = new X509Certificate(identity.cert);
  const issued = certificate.checkIssued(new X509Certificate(authority.cert)) && identity.ca === authority.cert;
  return issued && Date.parse(certificate.validTo) - Date.now() > RENEW_MS;
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
