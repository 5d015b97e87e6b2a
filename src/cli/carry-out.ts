/** The steps that change a cluster. Each may be repeated, so that the next `up` finishes what a kill interrupted. */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { launchAgent, runningAgent, stopAgent } from '../agent/launch.ts';
import { findPort } from '../agent/ports.ts';
import type { StatusDocument } from '../agent/api.ts';
import { PgorbitError } from '../errors.ts';
import type { ClusterSpec } from '../group/model.ts';
import { adminDir, agentDir, raftDir } from '../home.ts';
import { isHalfRestored } from './backup/restoring.ts';
import { readApplied, sha256, writeApplied, writeCluster, writeManifest, type ClusterFile } from './admin.ts';
import { promisedPorts } from './agents-here.ts';
import { Cluster } from './cluster.ts';
import { Interrupted, type Context, type Deadline } from './context.ts';
import { forgetGoing } from './destroy.ts';
import { awaitHosts, dismiss, noteRemote, signElsewhere } from './hosts.ts';
import { drawSecrets, makeIdentity, ownAuthority } from './identity.ts';
import { operate } from './operate.ts';
import { planAgents } from './plan/agents.ts';
import { pendingRestarts } from './plan/health.ts';
import { primaryFirst } from './plan/restart-order.ts';
import { FIRST_AGENT_PORT, FIRST_MEMBER_PORT, openPorts, unaskedPort, usedPorts } from './plan/ports.ts';
import { specInForce } from './present.ts';
import type { Outcome, Plan } from './wish.ts';
import { foundSite } from './site/found.ts';
import { updateSource } from './source.ts';
import { makeVolumes, noteVolumes } from './volumes.ts';
import { waitHealthy } from './wait.ts';

/** Between looks at who still votes. */
const POLL_MS = 200;
const PORT_TRIES = 3;

export async function carryOut(context: Context, plan: Plan, deadline: Deadline): Promise<Outcome> {
  const { wish, changes } = plan;
  const { progress } = context;
  const step = (text: string): void => {
    if (context.signal.aborted) throw new Interrupted();
    progress.step(text);
  };
  if (wish.founding === undefined && (await isHalfRestored(context.home, wish.spec.cluster))) {
    throw new PgorbitError('unsafe', `cluster ${wish.spec.cluster} is only half restored`, { hint: 'run `pgorbit restore` again, or `pgorbit destroy`' });
  }
  await wish.founding?.begin();
  step('identity');
  let file = await settleIdentity(context, plan, plan.present.file);
  let restart = await makeIdentity(context.home, file, (request) => signElsewhere(context, file, request));
  step('volumes');
  await makeVolumes(context, file.cluster);
  if (wish.founding !== undefined) {
    await wish.founding.prepare(file.clusterId);
    deadline = context.deadline(deadline.limitMs);
  }
  step(file.agents.length === 1 ? 'agent' : `${file.agents.length} agents`);
  for (let left = PORT_TRIES; ; left -= 1) {
    try {
      await startAgents(context, file, restart);
      break;
    } catch (error) {
      // Another program may have taken a port between our look and the agent's start; while nothing is applied, any other will do.
      const again = specInForce(plan.present) === null ? await settleIdentity(context, plan, file) : file;
      if (left === 0 || isDeepStrictEqual(again, file)) throw error;
      file = again;
      restart = await makeIdentity(context.home, file, (request) => signElsewhere(context, file, request));
    }
  }
  progress.done(file.agents.map((agent) => `${agent.host} on ${agent.address}:${agent.port}`).join(', '));

  const cluster = await Cluster.open(context, file.cluster);
  try {
    step('apply');
    const spec = await settlePorts(cluster, plan.spec, file);
    const source = await apply(context, cluster, plan, spec);
    if (wish.awaitHosts === true) await awaitHosts(context, cluster, plan.remote, deadline);
    context.background = 'The agents go on with it: `pgorbit status` shows how far they are, and `pgorbit up` waits for them again.';
    step('wait until every member is healthy');
    let status = await waitHealthy(context, cluster, spec, deadline);
    progress.done();
    if (await follow(context, cluster, plan, status, deadline)) status = await waitHealthy(context, cluster, spec, deadline);
    await retireHosts(context, cluster, file, spec, deadline);
    await noteRemote(context, cluster, spec);
    return { changes, status, file: wish.edited ? source : null };
  } finally {
    cluster.close();
  }
}

/** Writes who the cluster is, going on from what is `known`. cluster.json comes last: where it is, the rest is there too. */
async function settleIdentity(context: Context, { wish, spec, present, remote }: Plan, known: ClusterFile | null): Promise<ClusterFile> {
  const before = specInForce(present);
  const wanted = planAgents(known, before, before === null ? wish.spec : spec, remote);
  const agents: ClusterFile['agents'] = [];
  for (const { host, address, port: meant } of wanted.agents) {
    const lost = before === null && wish.spec.hosts[host]?.port === null && meant !== null && (await isTaken(context, spec.cluster, { host, address, port: meant }));
    const port = lost ? null : meant;
    const except = [...wanted.agents, ...agents].filter((agent) => agent.address === address).map((agent) => agent.port).filter((used) => used !== null);
    const chosen = port ?? (await findPort({ address, from: FIRST_AGENT_PORT, except: [...except, ...usedPorts(spec, address), ...(await promisedPorts(context.home, spec.cluster, address))], exactly: false }));
    if (chosen === null) throw new PgorbitError('port-in-use', `no port of ${address} is free for the agent of ${host}`);
    agents.push({ host, address, port: chosen });
  }
  const file: ClusterFile = { format: 1, cluster: spec.cluster, clusterId: known?.clusterId ?? wish.adopt?.clusterId ?? randomUUID(), agents, remote: known?.remote ?? [], founders: wanted.founders };
  if (before === null) await forgetFounding(context, known, wanted.founders);
  if (known === null) await forgetGoing(context.home, spec.cluster);
  await noteVolumes(context, spec, remote, wish.demo);
  if (before === null) {
    await writeManifest(context.home, spec.cluster, wish.input.text);
    await writeApplied(context.home, spec.cluster, { source: wish.input.source, baseDir: wish.input.baseDir, sha256: sha256(wish.input.text), spec: null });
  }
  if (!isDeepStrictEqual(file, known)) await writeCluster(context.home, file);
  for (const old of known?.agents ?? []) {
    if (!agents.some((agent) => agent.host === old.host)) await stopAgent(agentDir(context.home, file.cluster, old.host));
  }
  return file;
}

/** An `up` that was killed before it applied anything, and other hosts now: what its agents agreed on is nothing yet. */
async function forgetFounding(context: Context, file: ClusterFile | null, founders: readonly string[]): Promise<void> {
  if (file === null || isDeepStrictEqual(file.founders, founders)) return;
  for (const { host } of file.agents) {
    const dir = agentDir(context.home, file.cluster, host);
    await stopAgent(dir);
    await rm(raftDir(dir), { recursive: true, force: true });
  }
}

/** Does another program have the port that was meant for this agent? */
async function isTaken(context: Context, cluster: string, agent: ClusterFile['agents'][number]): Promise<boolean> {
  if ((await runningAgent(agentDir(context.home, cluster, agent.host))) !== null) return false;
  return (await findPort({ address: agent.address, from: agent.port, except: [], exactly: true })) === null;
}

/** All at once: each takes most of a second to load. */
async function startAgents(context: Context, file: ClusterFile, restart: readonly string[]): Promise<void> {
  await Promise.all(
    file.agents.map(async ({ host }) => {
      const dir = agentDir(context.home, file.cluster, host);
      // Its members go on meanwhile.
      if (restart.includes(host) && (await runningAgent(dir)) !== null) await stopAgent(dir);
      await launchAgent({ home: context.home, cluster: file.cluster, host });
    }),
  );
}

/** Every port that is still open, chosen by the agent of its host; on a host that has not joined yet nobody can be asked. */
async function settlePorts(cluster: Cluster, wanted: ClusterSpec, file: ClusterFile): Promise<ClusterSpec> {
  const spec = structuredClone(wanted);
  for (const agent of [...file.agents, ...file.remote]) {
    const host = spec.hosts[agent.host];
    if (host !== undefined) host.port = agent.port;
  }
  for (const open of openPorts(spec)) {
    const wish = { address: open.address, from: FIRST_MEMBER_PORT, except: usedPorts(spec, open.address), exactly: false };
    const { port } = cluster.hosts.includes(open.host) ? await cluster.callHost(open.host, 'POST /v1/port', wish) : { port: unaskedPort(spec, open.address) };
    const member = spec.groups[open.group]?.members[open.member];
    if (port === null || member === undefined) throw new PgorbitError('port-in-use', `no port of ${open.address} is free for member ${open.member}`);
    member.port = port;
  }
  return spec;
}

/** Hands the manifest to the agents, unless it is in force already, and notes down that it was. */
async function apply(context: Context, cluster: Cluster, { wish, present }: Plan, spec: ClusterSpec): Promise<Outcome['file']> {
  const { revision, document } = await cluster.call('GET /v1/cluster', {}, { signal: context.signal });
  if (document !== null && document.id !== cluster.file.clusterId) throw new PgorbitError('other-cluster', `the agents run another cluster (id ${document.id})`);
  if (present.revision !== null && present.revision !== revision) throw new PgorbitError('state-conflict', `cluster ${cluster.name} was changed by someone else just now`, { hint: 'look at `pgorbit status`, and try again' });
  const authority = await ownAuthority(adminDir(context.home, cluster.name));
  if (document === null || document.stopped || document.manifest !== wish.input.text || !isDeepStrictEqual(document.spec, spec)) {
    const founded = document === null && spec.standbyOf !== undefined ? await foundSite(context, spec, cluster.file) : null;
    await cluster.call('POST /v1/apply', {
      revision,
      document: { id: cluster.file.clusterId, manifest: wish.input.text, spec, stopped: false },
      ...(document === null ? { secrets: founded?.secrets ?? wish.adopt?.secrets ?? wish.founding?.secrets ?? drawSecrets() } : {}),
      ...(authority === null ? {} : { authority }),
      ...(founded === null ? {} : { site: founded.site }),
    });
  }
  const applied = await readApplied(context.home, cluster.name);
  const source = wish.edited && applied !== null ? await updateSource(applied, wish.input.text) : null;
  await writeManifest(context.home, cluster.name, wish.input.text);
  await writeApplied(context.home, cluster.name, { source: wish.input.source, baseDir: wish.input.baseDir, sha256: sha256(wish.input.text), spec });
  return source;
}

/** What a change needs after it is in force: a switchover, restarts. True when something was done. */
async function follow(context: Context, cluster: Cluster, { wish, changes }: Plan, status: StatusDocument, deadline: Deadline): Promise<boolean> {
  let done = false;
  for (const change of changes) {
    if (change.needs !== 'switchover' || change.after !== 'primary' || change.group === null) continue;
    if (status.groups.find((group) => group.name === change.group)?.primary === change.name) continue;
    context.progress.step(`switch over to ${change.name}`);
    await operate(context, cluster, { kind: 'switchover', group: change.group, to: change.name }, deadline);
    done = true;
  }
  const everywhere = changes.some((change) => change.kind === 'engine' && change.needs === 'restart');
  for (const group of status.groups) {
    const pending = pendingRestarts(group);
    const asked = everywhere || changes.some((change) => change.kind === 'group' && change.name === group.name && change.needs === 'restart');
    if (!asked && pending.length === 0) continue;
    if (!wish.restart) {
      context.progress.warn(`group ${group.name} needs a restart for what was changed: \`pgorbit restart\` does it, one member at a time`);
      continue;
    }
    const reversed = primaryFirst(changes, group.name);
    context.progress.step(`restart group ${group.name}, ${reversed ? 'the primary' : 'replicas'} first, one member at a time`);
    await operate(context, cluster, { kind: 'restart', group: group.name, members: asked ? null : pending.map((one) => one.member), primaryFirst: reversed }, deadline);
    done = true;
  }
  context.progress.done();
  return done;
}

/** Ends the agents of hosts that the manifest no longer names, once their members are gone. */
async function retireHosts(context: Context, cluster: Cluster, file: ClusterFile, spec: ClusterSpec, deadline: Deadline): Promise<void> {
  const gone = [...file.agents, ...file.remote].filter((agent) => spec.hosts[agent.host] === undefined);
  if (gone.length === 0) return;
  context.progress.step(`end the agents of ${gone.map((agent) => agent.host).join(', ')}`);
  // An agent that ended while it still had a vote would count as one that is down.
  for (;;) {
    const { agents } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
    if (!agents.some((agent) => agent.voter && spec.hosts[agent.host] === undefined)) break;
    await deadline.rest(POLL_MS, () => ({ message: `the agents of ${gone.map((agent) => agent.host).join(', ')} still have a vote`, hint: 'run `pgorbit up` again' }));
  }
  const left: ClusterFile = { ...file, agents: file.agents.filter((agent) => !gone.includes(agent)), remote: file.remote.filter((agent) => !gone.includes(agent)) };
  for (const agent of gone) {
    if (file.remote.includes(agent)) await dismiss(context, cluster, agent.host);
    else await stopAgent(agentDir(context.home, file.cluster, agent.host));
  }
  await writeCluster(context.home, left);
  await startAgents(context, left, await makeIdentity(context.home, left, (request) => signElsewhere(context, left, request)));
  context.progress.done();
}
