/**
 * One host's agent: its store, its members, its volumes, and, where it decides, the decider. Everything that it starts
 * belongs to one Lifecycle; its members' postgres processes belong to nobody and outlive it.
 */
import { join } from 'node:path';
import type { AgentConfig } from './config.ts';
import { agentOf } from './config.ts';
import { Decider } from './decider.ts';
import { ClusterView } from './documents.ts';
import { handlersOf } from './handlers.ts';
import type { Identity } from './identity/ca.ts';
import { HostMembers } from './members.ts';
import { reclaimWal } from './reclaim.ts';
import { REPORT_TIMEOUT_MS, Reporter, type ReportRequest } from './reporter.ts';
import { RpcClient } from './rpc/client.ts';
import { startRpcServer, type Handlers, type RpcServer } from './rpc/server.ts';
import { HostVolumes } from './volumes.ts';
import type { OsUser } from '../engine/osuser.ts';
import { agentDir } from '../home.ts';
import { Lifecycle } from '../lifecycle.ts';
import { EventLog } from '../observe/event-log.ts';
import type { EventDraft } from '../observe/event.ts';
import type { Log } from '../observe/log.ts';
import { RemoteStore } from '../state/remote.ts';
import { stateHandlers } from '../state/serve.ts';
import { SingleStore } from '../state/single.ts';

const SPACE_EVERY_MS = 5_000;
const SHARE_WAL_EVERY_MS = 60_000;
/** Background sharing reads no faster than this, so that it stays behind the load. */
const SHARE_WAL_RATE = 32 * 1024 * 1024;

export interface AgentOptions {
  home: string;
  config: AgentConfig;
  identity: Identity;
  user: OsUser | null;
  log: Log;
  /** Called once, when the agent is asked to end. */
  onShutdown: (stopMembers: boolean) => void;
}

export class Agent {
  readonly home: string;
  readonly config: AgentConfig;
  readonly log: Log;
  readonly events: EventLog;
  readonly store: SingleStore | RemoteStore;
  readonly view: ClusterView;
  readonly volumes: HostVolumes;
  readonly members: HostMembers;
  readonly decider: Decider;
  readonly stateHandlers: Handlers;
  readonly now = (): number => performance.now();
  readonly #life: Lifecycle;
  readonly #options: AgentOptions;
  readonly #clients: Map<string, RpcClient>;
  readonly #reporter: Reporter;
  #server: RpcServer | null = null;

  static async open(options: AgentOptions): Promise<Agent> {
    const { config, identity, home, log } = options;
    const dir = agentDir(home, config.cluster, config.host);
    const onError = (error: unknown, what: string): void => log.error({ err: error, what }, 'a background task failed');
    const clients = new Map(config.agents.map((agent) => [agent.host, new RpcClient(agent, identity)]));
    const decides = config.decider === config.host;
    const store = decides
      ? await SingleStore.open({ file: join(dir, 'state.json'), host: config.host, onError })
      : await RemoteStore.open({ client: clients.get(config.decider)!, leader: config.decider, cacheFile: join(dir, 'state-cache.json'), onError });
    return new Agent(options, store, clients, new EventLog({ file: join(dir, 'events.jsonl'), host: config.host, onError }), new Lifecycle(onError));
  }

  private constructor(options: AgentOptions, store: SingleStore | RemoteStore, clients: Map<string, RpcClient>, events: EventLog, life: Lifecycle) {
    this.home = options.home;
    this.config = options.config;
    this.log = options.log;
    this.#options = options;
    this.#clients = clients;
    this.#life = life;
    this.store = store;
    this.events = events;
    this.stateHandlers = store instanceof SingleStore ? stateHandlers(store) : {};
    this.view = new ClusterView(store, () => this.#changed());
    const tell = (event: EventDraft): void => {
      const { level, kind, group, member, message } = this.events.append(event);
      this.log[level === 'warning' ? 'warn' : level]({ kind, group, member }, message);
    };
    this.volumes = new HostVolumes({ view: this.view, tell, log: this.log, now: this.now });
    this.members = new HostMembers({
      home: this.home, host: this.config.host, user: options.user, view: this.view, volumes: this.volumes, log: this.log, tell,
      onReport: () => this.#reporter.soon(),
    });
    this.decider = new Decider({ store, view: this.view, exclusiveShare: (group) => this.volumes.exclusiveShare(group), tell, log: this.log, now: this.now });
    this.#reporter = new Reporter({ host: this.config.host, reports: () => this.members.reports(), send: (request) => this.#report(request), log: this.log });
  }

  /** True in the one agent that may change groups' records. */
  get isDecider(): boolean {
    return this.store.leadership().self;
  }

  /** @returns the port that it listens on. */
  async start(): Promise<number> {
    const { address, port } = agentOf(this.config, this.config.host);
    this.#server = await startRpcServer({ address, port, identity: this.#options.identity, handlers: handlersOf(this), log: this.log });
    this.#changed();
    this.#reporter.start(this.#life);
    if (this.isDecider) {
      this.decider.start(this.#life);
      this.#life.every(SPACE_EVERY_MS, 'watching volumes', () => this.volumes.watch());
      this.#life.every(SHARE_WAL_EVERY_MS, 'sharing WAL', () => this.#shareWal());
    }
    return this.#server.port;
  }

  /** Ends the agent; its members go on, unless `halt`. */
  async stop(halt: boolean): Promise<void> {
    await this.#life.stop();
    await this.members.stop(halt);
    await this.#server?.close();
    this.view.close();
    await this.store.close();
    for (const client of this.#clients.values()) client.close();
  }

  shutDown(stopMembers: boolean): void {
    this.#options.onShutdown(stopMembers);
  }

  /** Throws `no-such-host` for a host that the cluster does not have. */
  clientOf(host: string): RpcClient {
    const client = this.#clients.get(agentOf(this.config, host).host);
    if (client === undefined) throw new Error(`no client for ${host}`);
    return client;
  }

  #changed(): void {
    this.decider?.soon();
    this.#life.run('following the documents', () => this.members.update());
  }

  async #report(request: ReportRequest): Promise<void> {
    if (this.isDecider) this.decider.take(request);
    else await this.clientOf(this.config.decider).call('POST /v1/report', request, { timeoutMs: REPORT_TIMEOUT_MS });
  }

  async #shareWal(): Promise<void> {
    for (const volume of Object.keys(this.view.cluster?.document.spec.volumes ?? {})) {
      await reclaimWal(volume, { view: this.view, volumes: this.volumes, seen: (group) => this.decider.seen(group), now: this.now, rate: SHARE_WAL_RATE }, this.#life.signal);
    }
  }
}
