/** What there is of a cluster when a command begins: on disk, and as its agents tell where they run. */
import { readdir } from 'node:fs/promises';
import type { Calls, ClusterDocument, StatusDocument } from '../agent/api.ts';
import { agentConfigFile, type AgentConfig } from '../agent/config.ts';
import { runningAgent } from '../agent/launch.ts';
import { errnoOf, PgorbitError } from '../errors.ts';
import type { ClusterSpec } from '../group/model.ts';
import { agentDir, clusterDir } from '../home.ts';
import { readApplied, readCluster, readMade, type AppliedFile, type ClusterFile, type MadeFile } from './admin.ts';
import { Cluster, isLeaderless } from './cluster.ts';
import type { Context } from './context.ts';
import { readJson } from './files.ts';

export interface Present {
  /** Null for a cluster that is to be made. */
  file: ClusterFile | null;
  applied: AppliedFile | null;
  made: MadeFile;
  /** Hosts whose agent runs on this machine. */
  running: string[];
  /** What is in force, from the agents; null while none answers or nothing was applied. */
  document: ClusterDocument | null;
  /** The document's revision; null while no agent answers. */
  revision: number | null;
  status: StatusDocument | null;
  /** Who has joined, and who was invited to; null while no agent answers. */
  hosts: Calls['GET /v1/hosts']['answer'] | null;
}

/**
 * Throws `other-cluster` or `not-ours` where the cluster's folder is not what it should be.
 * @param adopted data that the cluster is to begin with were put there
 */
export async function readPresent(context: Context, cluster: string, adopted = false): Promise<Present> {
  const [file, applied, made] = await Promise.all([readCluster(context.home, cluster), readApplied(context.home, cluster), readMade(context.home, cluster)]);
  if (file === null) {
    if (!adopted) await refuseForeign(clusterDir(context.home, cluster));
    return { file, applied, made, running: [], ...SILENT };
  }
  if (file.cluster !== cluster) throw otherCluster(`${clusterDir(context.home, cluster)} holds the cluster ${file.cluster}, not ${cluster}`);
  const running: string[] = [];
  for (const { host } of file.agents) {
    const dir = agentDir(context.home, cluster, host);
    const config = await readJson<AgentConfig>(agentConfigFile(dir));
    if (config !== null && config.clusterId !== file.clusterId) throw otherCluster(`${dir} belongs to another cluster that is called ${config.cluster} too (id ${config.clusterId}, not ${file.clusterId})`);
    if ((await runningAgent(dir)) !== null) running.push(host);
  }
  const asked = running.length + file.remote.length > 0 && !(await isLeaderless(context.home, file)) ? await askAgents(context, cluster, file.clusterId) : SILENT;
  return { file: withRemote(file, asked.hosts), applied, made, running, ...asked };
}

type Asked = Pick<Present, 'document' | 'revision' | 'status' | 'hosts'>;
const SILENT: Asked = { document: null, revision: null, status: null, hosts: null };

/** The file with the hosts elsewhere as the agents know them now. */
export function withRemote(file: ClusterFile, hosts: Present['hosts']): ClusterFile {
  if (hosts === null) return file;
  return { ...file, remote: hosts.agents.filter((agent) => !file.agents.some((own) => own.host === agent.host)) };
}

/** What is in force as far as it is known here. */
export const specInForce = (present: Present): ClusterSpec | null => present.document?.spec ?? present.applied?.spec ?? null;

const otherCluster = (message: string): PgorbitError =>
  new PgorbitError('other-cluster', message, { hint: 'give the cluster in the manifest another name, or set PGORBIT_HOME to another folder' });

async function askAgents(context: Context, name: string, clusterId: string): Promise<Asked> {
  const cluster = await Cluster.open(context, name);
  try {
    const { document, revision } = await cluster.call('GET /v1/cluster', {}, { signal: context.signal });
    if (document !== null && document.id !== clusterId) throw otherCluster(`the agents of ${name} run another cluster (id ${document.id}, not ${clusterId})`);
    const status = await cluster.call('GET /v1/status', {}, { signal: context.signal });
    return { document, revision, status, hosts: await cluster.call('GET /v1/hosts', {}, { signal: context.signal }) };
  } catch (error) {
    // Agents that run and do not answer are started anew by the step that starts agents.
    if (error instanceof PgorbitError && (error.code === 'agent-unreachable' || error.code === 'timed-out')) return SILENT;
    throw error;
  } finally {
    cluster.close();
  }
}

/** What a first `up` that was killed may have left before cluster.json. */
const OURS = /^(\.?up\.lock.*|\.?manifest\.yaml.*|admin)$/;

async function refuseForeign(dir: string): Promise<void> {
  const names = await readdir(dir).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    if (errnoOf(error) === 'ENOTDIR') return ['.'];
    throw error;
  });
  const foreign = names.find((name) => !OURS.test(name));
  if (foreign === undefined) return;
  throw new PgorbitError('not-ours', `${dir} exists, and pgorbit did not make it (${foreign === '.' ? 'it is a file' : `there is ${foreign} in it`})`, {
    hint: 'move it away, give the cluster another name, or set PGORBIT_HOME to another folder',
  });
}
