/** A cluster as the CLI reaches it: any agent that answers will do, and each can be asked for itself. */
import type { CallName, Calls } from '../agent/api.ts';
import type { AgentAddress } from '../agent/config.ts';
import type { Identity } from '../agent/identity/ca.ts';
import { readIdentity } from '../agent/identity/files.ts';
import { runningAgent } from '../agent/launch.ts';
import { NO_LEADER } from '../agent/leader.ts';
import { RpcClient, type CallOptions } from '../agent/rpc/client.ts';
import { type ErrorCode, PgorbitError } from '../errors.ts';
import { adminDir, agentDir } from '../home.ts';
import { listClusters, readCluster, type ClusterFile } from './admin.ts';
import type { Context } from './context.ts';
import { chooseCluster } from './plan/select.ts';

/** Within this an agent that runs takes up a connection. ms */
const CONNECT_MS = 3_000;

const UNREACHED: ReadonlySet<string> = new Set<ErrorCode>(['agent-unreachable']);
const ANSWERLESS: ReadonlySet<string> = new Set<ErrorCode>(['agent-unreachable', 'timed-out']);

export class Cluster {
  readonly file: ClusterFile;
  readonly #clients: Map<string, RpcClient>;
  readonly #identity: Identity;
  /** Hosts in the order in which they are asked: the one that answered last comes first. */
  #order: string[];

  private constructor(file: ClusterFile, clients: Map<string, RpcClient>, identity: Identity) {
    this.file = file;
    this.#identity = identity;
    this.#clients = clients;
    this.#order = [...clients.keys()];
  }

  get name(): string {
    return this.file.cluster;
  }

  /** The cluster named `name`. Throws `no-such-cluster`; `operation-failed` where only a half of it is there. */
  static async open(context: Context, name: string): Promise<Cluster> {
    const cluster = await Cluster.openWhole(context, name);
    if (cluster instanceof Cluster) return cluster;
    throw new PgorbitError('operation-failed', `cluster ${name} is only half made: an \`up\` was interrupted`, { hint: '`pgorbit up` finishes it; `pgorbit destroy --yes` removes it', cause: cluster });
  }

  /** As open(), but says what is missing where an `up` or `destroy` was interrupted before it had or after it removed what the agents' identity is. */
  static async openWhole(context: Context, name: string): Promise<Cluster | PgorbitError> {
    const file = await readCluster(context.home, name);
    if (file === null) throw new PgorbitError('no-such-cluster', `there is no cluster ${name} in ${context.home}`, { hint: '`pgorbit up` makes one' });
    const identity = await readIdentity(adminDir(context.home, name)).catch((cause: unknown) => {
      if (!(cause instanceof PgorbitError) || cause.code !== 'no-such-cluster') throw cause;
      return cause;
    });
    if (identity instanceof PgorbitError) return identity;
    return new Cluster(file, new Map([...file.agents, ...file.remote].map((agent: AgentAddress) => [agent.host, new RpcClient(agent, identity)])), identity);
  }

  /** Takes up agents that have joined or moved meanwhile. */
  learn(agents: readonly AgentAddress[]): void {
    for (const { host, address, port } of agents) {
      const known = this.#clients.get(host);
      if (known?.target.address === address && known.target.port === port) continue;
      known?.close();
      this.#clients.set(host, new RpcClient({ host, address, port }, this.#identity));
      if (known === undefined) this.#order = [...this.#order, host];
    }
  }

  /**
   * Asks the agents one after the other until one answers. One that stands still is passed over while there is another: it has
   * heard nothing of a call before the connection stands, and a question can be asked twice. Throws what the last of them said.
   */
  async call<K extends CallName>(name: K, request: Calls[K]['request'], options: CallOptions = {}): Promise<Calls[K]['answer']> {
    const failed: PgorbitError[] = [];
    const asked = name.startsWith('GET ') ? ANSWERLESS : UNREACHED;
    for (const [i, host] of this.#order.entries()) {
      const last = i === this.#order.length - 1;
      try {
        const answer = await this.callHost(host, name, request, last ? options : { ...options, connectMs: CONNECT_MS });
        // Replaced, not changed: the loop goes over the old one.
        this.#order = [host, ...this.#order.filter((other) => other !== host)];
        return answer;
      } catch (error) {
        if (!(error instanceof PgorbitError) || !asked.has(error.code)) throw error;
        failed.push(error);
      }
    }
    const hint = '`pgorbit up` starts the agents of this machine; `pgorbit status` shows what runs without them';
    if (failed.some((error) => error.message === NO_LEADER)) throw new PgorbitError('agent-unreachable', `cluster ${this.name}: ${NO_LEADER}`, { hint, cause: failed[0] });
    throw new PgorbitError('agent-unreachable', `no agent of cluster ${this.name} answers (${this.#order.join(', ')}): ${failed[0]?.message ?? ''}`, { hint, cause: failed[0] });
  }

  /** Asks one host's agent. Throws `no-such-host`. */
  async callHost<K extends CallName>(host: string, name: K, request: Calls[K]['request'], options: CallOptions = {}): Promise<Calls[K]['answer']> {
    const client = this.#clients.get(host);
    if (client === undefined) throw new PgorbitError('no-such-host', `cluster ${this.name} has no host ${host}`, { hint: `its hosts are: ${this.hosts.join(', ')}` });
    return client.call(name, request, options);
  }

  /** Those whose agents are known, of this machine and elsewhere. */
  get hosts(): string[] {
    return [...this.#clients.keys()];
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }
}

/**
 * Do so few agents run that none can lead? Then there is no sense in waiting for an election. Those elsewhere are taken
 * to run.
 */
export async function isLeaderless(home: string, file: ClusterFile): Promise<boolean> {
  const running = await Promise.all(file.agents.map(({ host }) => runningAgent(agentDir(home, file.cluster, host))));
  const here = running.filter((agent) => agent !== null).length;
  const elsewhere = file.remote.length;
  const total = file.agents.length + elsewhere;
  // One of two may be the only voter yet, if it is this machine's.
  return here === 0 ? elsewhere * 2 <= total : (here + elsewhere) * 2 < total;
}

/** The cluster that the command means (or the one named), open while `work` runs. */
export async function withCluster<T>(context: Context, work: (cluster: Cluster) => Promise<T>, name?: string): Promise<T> {
  const cluster = await Cluster.open(context, name ?? chooseCluster(await listClusters(context.home), context.wantedCluster, context.home));
  try {
    return await work(cluster);
  } finally {
    cluster.close();
  }
}
