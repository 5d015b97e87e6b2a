/** Hosts elsewhere: how they are told to join, waited for, and sent away. */
import type { AgentAddress } from '../agent/config.ts';
import type { CertificateRequest } from '../agent/identity/request.ts';
import { PgorbitError } from '../errors.ts';
import type { ClusterSpec } from '../group/model.ts';
import { readCluster, writeCluster, type ClusterFile } from './admin.ts';
import { Cluster, withCluster } from './cluster.ts';
import type { Context, Deadline } from './context.ts';
import { withRemote } from './present.ts';
import { waitFor } from './wait.ts';

/** How long a token is good, ms, unless the person says otherwise. */
const TOKEN_TTL_MS = 3_600_000;

export interface Invitation {
  host: string;
  token: string;
  expires: string;
  /** To be run on that machine. */
  command: string;
}

export async function invite(context: Context, cluster: Cluster, host: string, ttlMs = TOKEN_TTL_MS): Promise<Invitation> {
  const { token, expires } = await cluster.call('POST /v1/token', { kind: 'join', host, ttlMs }, { signal: context.signal });
  return { host, token, expires, command: `pgorbit agent --join ${token}` };
}

/** What a person has to do on the other machine. */
export const renderInvitation = ({ host, command, expires }: Invitation): string =>
  `To let host ${host} join, run on its machine (once, before ${expires}):\n\n  ${command}\n\n`;

/** Tells how each of `remote` that has not joined yet does so, then waits for them. Throws `timed-out`. */
export async function awaitHosts(context: Context, cluster: Cluster, remote: readonly string[], deadline: Deadline): Promise<void> {
  const joined = async (): Promise<AgentAddress[]> => (await cluster.call('GET /v1/hosts', {}, { signal: context.signal })).agents;
  const there = await joined();
  const missing = remote.filter((host) => !there.some((agent) => agent.host === host));
  if (missing.length > 0) {
    for (const host of missing) {
      const invitation = await invite(context, cluster, host);
      // It is waited for here: with --json, too, somebody has to see it before the end.
      if (context.out.json) context.progress.note(`on the machine of host ${host}, before ${invitation.expires}: ${invitation.command}`);
      else context.out.text(renderInvitation(invitation));
    }
    context.progress.step(`wait for ${missing.join(', ')} to join`);
    await waitFor(context, cluster, deadline, `for ${missing.join(', ')} to join (\`pgorbit host token\` makes new tokens)`, (status) => {
      const waiting = missing.filter((host) => !status.agents.some((agent) => agent.host === host && agent.state !== 'unreachable'));
      return waiting.length === 0 ? { done: null } : { waiting: waiting.map((host) => `${host} has not joined`) };
    });
    context.progress.done();
  }
  cluster.learn(await joined());
}

/** Writes down where the agents elsewhere are, so that they are found when those of this machine are away. */
export async function noteRemote(context: Context, cluster: Cluster, spec: ClusterSpec): Promise<void> {
  const file = await readCluster(context.home, cluster.name);
  if (file === null) return;
  const hosts = await cluster.call('GET /v1/hosts', {}, { signal: context.signal });
  // One that has left is still listed for a moment.
  const next = withRemote(file, { ...hosts, agents: hosts.agents.filter((agent) => spec.hosts[agent.host] !== undefined) });
  if (JSON.stringify(next) !== JSON.stringify(file)) await writeCluster(context.home, next);
}

/** Ends the agent of a host elsewhere that is no part of the cluster any more. One that does not answer is told of. */
export async function dismiss(context: Context, cluster: Cluster, host: string): Promise<void> {
  try {
    await cluster.callHost(host, 'POST /v1/shutdown', { stopMembers: true, leave: true });
  } catch (error) {
    if (!(error instanceof PgorbitError)) throw error;
    context.progress.warn(`the agent of ${host} could not be told that it has left: ${error.message} End it there, and delete its folder in PGORBIT_HOME`);
  }
}

/** A certificate from the agents. */
export function signElsewhere(context: Context, file: ClusterFile, request: CertificateRequest): Promise<{ ca: string; cert: string }> {
  return withCluster(context, (cluster) => cluster.call('POST /v1/certificate', { request }, { signal: context.signal }), file.cluster);
}
