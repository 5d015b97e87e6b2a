/** New certificates, and a new authority, while the agents run. */
import { X509Certificate } from 'node:crypto';
import { ADMIN, certificatesIn, fingerprintOf } from '../agent/identity/ca.ts';
import type { RotationStep } from '../agent/identity/authority-document.ts';
import { readIdentity, writeIdentity } from '../agent/identity/files.ts';
import { makeKey, makeRequest } from '../agent/identity/request.ts';
import { PgorbitError } from '../errors.ts';
import { adminDir, clusterDir } from '../home.ts';
import { listClusters } from './admin.ts';
import { withCluster, type Cluster } from './cluster.ts';
import type { Context, Deadline } from './context.ts';
import { removeOwnAuthority } from './identity.ts';
import { takeLock } from './lock.ts';
import { chooseCluster } from './plan/select.ts';

export interface Renewed {
  /** A host, or `admin` for the command line. */
  name: string;
  validTo: string;
}

const TIMEOUT_MS = 60_000;
const POLL_MS = 200;

/** Renews every agent's certificate and this machine's. Throws what the first agent says that can't. */
export function rotateCertificates(context: Context): Promise<Renewed[]> {
  return locked(context, async (name) => [...(await renewAgents(context, name)), await renewAdmin(context, name)]);
}

/**
 * Replaces the authority: everybody trusts the new one, then it signs everybody's certificate, then nobody trusts the
 * old one. Killed in between, the same command goes on.
 */
export function rotateAuthority(context: Context): Promise<Renewed[]> {
  return locked(context, async (name) => {
    const deadline = context.deadline(TIMEOUT_MS);
    await step(context, name, 'introduce', 'trust a new authority', deadline);
    await step(context, name, 'switch', 'let the new authority sign', deadline);
    const renewed = [...(await renewAgents(context, name)), await renewAdmin(context, name)];
    await step(context, name, 'drop', 'trust the old authority no longer', deadline);
    return renewed;
  });
}

/** Makes a step, unless it was made already, and returns when every agent and this machine trust what they are to trust. */
async function step(context: Context, name: string, what: RotationStep, shown: string, deadline: Deadline): Promise<void> {
  context.progress.step(shown);
  await withCluster(context, async (cluster) => {
    const hosts = await knowAll(context, cluster);
    const { ca } = await cluster.call('POST /v1/rotate', { step: what }, { signal: context.signal });
    const wanted = certificatesIn(ca).map(fingerprintOf).sort();
    for (;;) {
      const behind: string[] = [];
      for (const host of hosts) {
        const { trusts } = await cluster.callHost(host, 'GET /v1/trust', {}, { signal: context.signal });
        if (trusts.sort().join() !== wanted.join()) behind.push(host);
      }
      if (behind.length === 0) break;
      await deadline.rest(POLL_MS, () => ({ message: `${behind.join(', ')} ${behind.length === 1 ? 'does' : 'do'} not trust the authorities yet`, hint: 'run the same command again: it goes on where this one ended' }));
    }
    const dir = adminDir(context.home, name);
    const identity = await readIdentity(dir);
    if (identity.ca !== ca) await writeIdentity(dir, { ...identity, ca });
    // The agents have the new one; what is kept here would sign what nobody trusts.
    await removeOwnAuthority(dir);
  }, name);
  context.progress.done();
}

async function renewAgents(context: Context, name: string): Promise<Renewed[]> {
  return withCluster(context, async (cluster) => {
    const renewed: Renewed[] = [];
    for (const host of await knowAll(context, cluster)) {
      context.progress.step(`renew the certificate of ${host}`);
      const { validTo } = await cluster.callHost(host, 'POST /v1/renew', {}, { signal: context.signal });
      renewed.push({ name: host, validTo });
      context.progress.done();
    }
    return renewed;
  }, name);
}

async function renewAdmin(context: Context, name: string): Promise<Renewed> {
  return withCluster(context, async (cluster) => {
    context.progress.step("renew the command line's certificate");
    const key = makeKey();
    const { ca, cert } = await cluster.call('POST /v1/certificate', { request: makeRequest(ADMIN, key) }, { signal: context.signal });
    await writeIdentity(adminDir(context.home, name), { ca, cert, key });
    context.progress.done();
    return { name: ADMIN, validTo: new Date(new X509Certificate(cert).validTo).toISOString() };
  }, name);
}

/** The hosts: every agent that there is has to take part. Throws `agent-unreachable` where one is away. */
async function knowAll(context: Context, cluster: Cluster): Promise<string[]> {
  const { agents } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
  cluster.learn(agents);
  const away = agents.filter((agent) => agent.state === 'unreachable').map((agent) => agent.host);
  if (away.length > 0) throw new PgorbitError('agent-unreachable', `the agent of ${away.join(', ')} does not answer: it would be left behind`, { hint: 'start it, or `pgorbit host remove` it; then run the command again' });
  return agents.map((agent) => agent.host);
}

async function locked<T>(context: Context, work: (name: string) => Promise<T>): Promise<T> {
  const name = chooseCluster(await listClusters(context.home), context.wantedCluster, context.home);
  const lock = await takeLock(clusterDir(context.home, name), 'rotate certificates');
  try {
    return await work(name);
  } finally {
    await lock.release();
  }
}
