/** Stops a cluster on this machine: members by their agents, and by hand what runs without one. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { runningAgent, stopAgent } from '../agent/launch.ts';
import { endStarting } from '../agent/starting.ts';
import { archivesDir } from '../agent/archivers.ts';
import { adoptArchiver, stopArchiver } from '../backup/archive/process.ts';
import { adoptPostgres, stopPostgres } from '../engine/postmaster.ts';
import { PgorbitError } from '../errors.ts';
import { adoptLogger, stopLogger } from '../group/logger/process.ts';
import type { ClusterSpec } from '../group/model.ts';
import { agentDir, clusterDir } from '../home.ts';
import type { ClusterFile } from './admin.ts';
import { Cluster } from './cluster.ts';
import type { Context, Deadline } from './context.ts';
import { dismiss } from './hosts.ts';
import { ownFolders } from './plan/storage.ts';

const POLL_MS = 50;

/**
 * Ends every member, then its agent. The agents of hosts elsewhere stay, unless they are to `leave`. Idempotent. Throws
 * `timed-out`, `postgres-failed`.
 */
export async function stopCluster(context: Context, file: ClusterFile, spec: ClusterSpec | null, deadline: Deadline, leave = false): Promise<void> {
  await endStarting(context.home, file.cluster);
  const cluster = await Cluster.openWhole(context, file.cluster);
  // Nobody can call an agent without what was not written yet, or is gone already.
  if (!(cluster instanceof Cluster)) await Promise.all(file.agents.map(({ host }) => stopAgent(agentDir(context.home, file.cluster, host))));
  else {
    try {
      await markStopped(context, cluster);
      if (file.remote.length > 0) await stopRemote(context, cluster, deadline, leave);
      await Promise.all(file.agents.map(({ host }) => stopHost(context, cluster, host, deadline)));
    } finally {
      cluster.close();
    }
  }
  await stopStrays(context, file, spec, deadline);
  await stopStrayArchivers(context, file);
}

/** Tells the cluster that it is to be down: nobody takes over from a primary that stops, whatever order they stop in. */
async function markStopped(context: Context, cluster: Cluster): Promise<void> {
  const { agents, remote } = cluster.file;
  const running = await Promise.all(agents.map(({ host }) => runningAgent(agentDir(context.home, cluster.name, host))));
  // Without a majority nothing can be told, and nobody can take over. Those elsewhere are taken to run.
  if ((running.filter((agent) => agent !== null).length + remote.length) * 2 <= agents.length + remote.length) return;
  try {
    const { revision, document } = await cluster.call('GET /v1/cluster', {});
    if (document !== null && !document.stopped) await cluster.call('POST /v1/apply', { revision, document: { ...document, stopped: true } });
  } catch (error) {
    if (!(error instanceof PgorbitError)) throw error;
    context.progress.note(`the agents could not be told that the cluster goes down (${error.message}); they are stopped all the same`);
  }
}

/** Members elsewhere stop because the cluster is marked as stopped; their agents report it while this machine's still run. */
async function stopRemote(context: Context, cluster: Cluster, deadline: Deadline, leave: boolean): Promise<void> {
  const elsewhere = cluster.file.remote.map((agent) => agent.host);
  for (;;) {
    let running: string[];
    try {
      const { groups, agents } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
      const answering = new Set(agents.filter((agent) => agent.state !== 'unreachable').map((agent) => agent.host));
      running = groups.flatMap((group) => group.members).filter((member) => elsewhere.includes(member.host) && answering.has(member.host) && member.pid !== null).map((member) => member.name);
    } catch (error) {
      if (!(error instanceof PgorbitError)) throw error;
      context.progress.warn(`the members on ${elsewhere.join(', ')} can't be watched as they stop: ${error.message}`);
      return;
    }
    if (running.length === 0) break;
    context.progress.detail(`${running.join(', ')} still run`);
    await deadline.rest(POLL_MS * 4, () => ({ message: `${running.join(', ')} have not stopped within ${Math.round(deadline.limitMs / 1000)} s`, hint: 'wait, and run the command again; --timeout waits longer' }));
  }
  if (leave) for (const host of elsewhere) await dismiss(context, cluster, host);
}

async function stopHost(context: Context, cluster: Cluster, host: string, deadline: Deadline): Promise<void> {
  const dir = agentDir(context.home, cluster.name, host);
  if ((await runningAgent(dir)) === null) return;
  context.progress.note(`stopping the members of ${host}, then its agent`);
  try {
    await cluster.callHost(host, 'POST /v1/shutdown', { stopMembers: true });
  } catch (error) {
    if (!(error instanceof PgorbitError)) throw error;
    // An agent that does not listen any more is ended; its members are stopped by hand below.
    context.progress.warn(`${error.message} Its process is ended instead`);
    await stopAgent(dir);
    return;
  }
  while ((await runningAgent(dir)) !== null) {
    await deadline.rest(POLL_MS, () => ({ message: `the members of ${host} have not stopped within ${Math.round(deadline.limitMs / 1000)} s`, hint: 'a checkpoint of much data takes long: wait, and run the command again; --timeout waits longer' }));
  }
}

/** Servers and loggers that no agent watches any more: their agent was killed, or never came back. */
async function stopStrays(context: Context, file: ClusterFile, spec: ClusterSpec | null, deadline: Deadline): Promise<void> {
  for (const dataDir of await dataDirs(context, file, spec)) {
    const logger = adoptLogger(dataDir);
    if (logger !== null) {
      context.progress.note(`stopping the logger in ${dataDir} (process ${logger.id.pid}), which has no agent`);
      logger.release();
      await stopLogger(logger);
    }
    const postmaster = await adoptPostgres(dataDir);
    if (postmaster === null) continue;
    context.progress.note(`stopping the PostgreSQL in ${dataDir} (process ${postmaster.id.pid}), which has no agent`);
    const stopped = await stopPostgres(postmaster, 'fast', deadline.leftMs, context.signal);
    postmaster.release();
    if (!stopped) throw new PgorbitError('timed-out', `the PostgreSQL in ${dataDir} (process ${postmaster.id.pid}) has not stopped`, { hint: 'wait, and run the command again; --timeout waits longer' });
  }
}

/** Archivers likewise. */
async function stopStrayArchivers(context: Context, file: ClusterFile): Promise<void> {
  for (const { host } of file.agents) {
    const dir = archivesDir(context.home, file.cluster, host);
    for (const group of await names(dir)) {
      const archiver = adoptArchiver(join(dir, group));
      if (archiver === null) continue;
      archiver.release();
      await stopArchiver(archiver);
    }
  }
}

/** The data directories of the cluster's members on its volumes, in its home and in folders of their own, those set aside too. */
async function dataDirs(context: Context, file: ClusterFile, spec: ClusterSpec | null): Promise<string[]> {
  const dirs = (await Promise.all(Object.values(spec?.volumes ?? {}).map((volume) => memberDirs(volume.path, file.cluster)))).flat();
  const local = (await Promise.all((spec === null ? [] : ownFolders(spec)).map(ownDirs))).flat();
  for (const { host } of file.agents) {
    const members = join(clusterDir(context.home, file.cluster), host, 'members');
    for (const group of await names(members)) for (const member of await names(join(members, group))) local.push(join(members, group, member, 'storage'));
  }
  return [...dirs, ...local].map((dir) => join(dir, 'data'));
}

/** A member's own folder, where it is there, and those beside it that were set aside or left half made. */
export async function ownDirs(folder: string): Promise<string[]> {
  const name = basename(folder);
  const mine = (entry: string): boolean => entry === name || entry.startsWith(`${name}.aside-`) || entry === `${name}.drill` || entry === `.${name}.pgorbit-new` || entry === `.${name}.pgorbit-gone`;
  return (await names(dirname(folder))).filter(mine).map((entry) => join(dirname(folder), entry));
}

/** What lies on a volume for the cluster: a folder a member. */
export async function memberDirs(volume: string, cluster: string): Promise<string[]> {
  const top = join(volume, cluster);
  const groups = await names(top);
  return (await Promise.all(groups.map(async (group) => (await names(join(top, group))).map((member) => join(top, group, member))))).flat();
}

/** The folders in a folder; none where it is missing. */
export async function names(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort();
}
