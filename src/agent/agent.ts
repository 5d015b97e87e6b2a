/**
 * One host's agent: its part in the consensus, its members, its volumes, and, while it leads, the decider. Everything that it starts
 * belongs to one Lifecycle; its members' postgres processes belong to nobody and outlive it.
 */
import { join } from 'node:path';
import { HostArchivers } from './archivers.ts';
import type { AgentAddress, AgentConfig } from './config.ts';
import { agentOf } from './config.ts';
import type { Credentials } from './credentials.ts';
import { Bulletin } from './bulletin.ts';
import { currentStatus } from './current-status.ts';
import { Decider } from './decider.ts';
import { ClusterView } from './documents.ts';
import { Enrolment } from './enrolment.ts';
import { handlersOf } from './handlers.ts';
import type { Identity } from './identity/ca.ts';
import { HostMembers } from './members.ts';
import { reclaimWal } from './reclaim.ts';
import { Reporter, type ReportRequest } from './reporter.ts';
import type { RpcClient } from './rpc/client.ts';
import { startRpcServer, type RpcServer } from './rpc/server.ts';
import { AgentStreams } from './rpc/streams.ts';
import type { Ending } from './run.ts';
import { SiteGate } from './site/gate.ts';
import { SiteKeeper } from './site/keeper.ts';
import { Standing } from './standing.ts';
import { HostVolumes } from './volumes.ts';
import { settleVoters } from './voters.ts';
import { SPEC_KEY, type Leadership } from '../state/store.ts';
import type { OsUser } from '../engine/osuser.ts';
import { FileLog } from '../consensus/log/file-log.ts';
import { RaftStore } from '../consensus/raft-store.ts';
import { agentDir, raftDir } from '../home.ts';
import { Bell, Lifecycle, sleep } from '../lifecycle.ts';
import { EventLog } from '../observe/event-log.ts';
import type { EventDraft } from '../observe/event.ts';
import type { Log } from '../observe/log.ts';
import { rotateLog } from '../observe/rotate.ts';

/**
 * An election begins after one to two election timeouts. A leader that is lost has a successor, and that one has taken the
 * next reports, before the lease of a primary elsewhere is over (group/decide/context.ts): the loss of a minority of the
 * agents stops nobody's primary.
 */
const TIMING = { tickMs: 50, heartbeatMs: 200, electionMs: 500 };
const BULLETIN_EVERY_MS = 2_000;
const UPKEEP_EVERY_MS = 5_000;
/** Between tries to hear from a majority. */
const CATCH_UP_MS = 500;
const VOTERS_EVERY_MS = 1_000;
const ROTATE_EVERY_MS = 60_000;
/** Bytes; one older file of this size is kept. */
const AGENT_LOG_LIMIT = 8 * 1024 * 1024;
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
  onShutdown: (ending: Ending) => void;
}

export class Agent {
  readonly home: string;
  readonly config: AgentConfig;
  readonly log: Log;
  readonly events: EventLog;
  readonly store: RaftStore;
  readonly transport: AgentStreams;
  readonly view: ClusterView;
  readonly volumes: HostVolumes;
  readonly members: HostMembers;
  readonly archivers: HostArchivers;
  readonly decider: Decider;
  readonly enrolment: Enrolment;
  readonly keeper: SiteKeeper;
  readonly tell: (event: EventDraft) => void;
  readonly #gate: SiteGate;
  readonly now = (): number => performance.now();
  readonly #life: Lifecycle;
  readonly #options: AgentOptions;
  readonly #standing: Standing;
  readonly #reporter: Reporter;
  readonly #bulletin: Bulletin;
  /** Rings when the lease begins; while it is renewed in time its watch sleeps. */
  readonly #leaseBell = new Bell();
  /** Ring when the leadership changes. */
  readonly #leaderBells: Bell[] = [];
  /** As it was told last. */
  #leader: string | null = null;
  #server: RpcServer | null = null;
  #unwatch: () => void = () => undefined;

  static async open(options: AgentOptions): Promise<Agent> {
    const { config, identity, home, log } = options;
    const dir = agentDir(home, config.cluster, config.host);
    const onError = (error: unknown, what: string): void => log.error({ err: error, what }, 'a background task failed');
    const storage = await FileLog.open(raftDir(dir));
    for (const note of storage.notes) log.warn({ note }, 'the consensus log was put right');
    const transport = new AgentStreams({ self: config.host, peers: config.agents.filter(({ host }) => host !== config.host), identity, log, now: () => performance.now() });
    const store = new RaftStore({
      self: config.host, storage, transport, timing: TIMING,
      onFatal: (error) => {
        log.error({ err: error }, 'this agent takes no further part in the consensus: it ends, and its members go on');
        options.onShutdown({ stopMembers: false, leave: false, asked: false });
      },
      onError: (error) => onError(error, 'consensus'),
    });
    if (storage.blank && config.founders.includes(config.host)) await store.bootstrap(config.founders);
    return new Agent(options, { store, transport, events: new EventLog({ file: join(dir, 'events.jsonl'), host: config.host, onError }), life: new Lifecycle(onError) });
  }

  private constructor(options: AgentOptions, parts: { store: RaftStore; transport: AgentStreams; events: EventLog; life: Lifecycle }) {
    const { store, transport, events, life } = parts;
    this.home = options.home;
    this.config = options.config;
    this.log = options.log;
    this.#options = options;
    this.#life = life;
    this.store = store;
    this.events = events;
    this.transport = transport;
    const { home, config, identity, log } = options;
    this.#standing = new Standing({
      dir: agentDir(home, config.cluster, config.host), config, identity, store, log,
      onAgents: (agents) => transport.setPeers(agents.filter(({ host }) => host !== config.host)),
      onIdentity: (renewed) => {
        this.#server?.setIdentity(renewed);
        transport.identify(renewed);
      },
    });
    this.view = new ClusterView(store, () => this.#changed());
    this.tell = (event) => {
      const { level, kind, group, member, message } = this.events.append(event);
      this.log[level === 'warning' ? 'warn' : level]({ kind, group, member }, message);
    };
    const { tell } = this;
    this.#gate = new SiteGate({ clusterId: config.clusterId, view: this.view, store, onChange: () => this.members.look(), log });
    this.keeper = new SiteKeeper({
      config, store, view: this.view, seen: (group) => this.decider.seen(group), onNews: () => this.decider.soon(), agents: () => this.agents(), ca: () => this.credentials.identity.ca,
      tell, log, now: this.now,
    });
    this.enrolment = new Enrolment({ config, store, view: this.view, tell });
    this.volumes = new HostVolumes({ view: this.view, tell, log: this.log, now: this.now, background: (what, work) => this.#life.run(what, work) });
    this.members = new HostMembers({
      home: this.home, host: this.config.host, user: options.user, view: this.view, volumes: this.volumes, log: this.log, tell,
      onReport: () => this.#reporter.soon(), takenMsAgo: () => this.#reporter.takenMsAgo(), superseded: () => this.#gate.superseded(),
    });
    this.archivers = new HostArchivers({ home, cluster: config.cluster, host: config.host, view: this.view, tell, log });
    this.decider = new Decider({ store, view: this.view, exclusiveShare: (group) => this.volumes.exclusiveShare(group), site: (group) => this.keeper.viewOf(group), tell, log: this.log, now: this.now });
    this.#reporter = new Reporter({ host: this.config.host, reports: () => this.members.reports(), archives: () => this.archivers.reports(), leases: () => this.members.leases, send: (id, request) => this.#report(id, request), onTaken: () => this.#taken(), now: this.now, log: this.log });
    transport.handle({
      report: (request) => this.#takeReport(request),
      reportAnswered: (id, known) => this.#reporter.answered(id, known),
      connected: () => this.#reporter.soon(),
      leaving: (host) => {
        if (host === this.#leader) this.#reporter.along();
      },
      status: (document) => this.#life.run('showing the status', () => this.#bulletin.take(document)),
    });
    this.#bulletin = new Bulletin({ owner: options.user, members: this.members, events, announce: (document) => transport.announce(document), log, now: this.now });
  }

  /** True in the one agent that may change groups' records, as long as its lease lasts. */
  get isDecider(): boolean {
    return this.store.leadership().self;
  }

  /** @returns the port that it listens on. */
  async start(): Promise<number> {
    const { address, port } = agentOf(this.config, this.config.host);
    this.#server = await startRpcServer({ address, port, identity: this.#options.identity, handlers: handlersOf(this), accept: (caller, upgraded) => this.transport.accept(caller, upgraded), log: this.log });
    this.transport.start();
    this.store.start();
    this.#unwatch = this.store.onLeadership((leadership) => this.#led(leadership));
    this.#standing.start(this.#life, this.view, this.enrolment);
    this.#changed();
    this.#life.run('catching up with the cluster', (signal) => this.#catchUp(signal));
    this.archivers.start(this.#life);
    this.#reporter.start(this.#life);
    this.decider.start(this.#life);
    this.keeper.start(this.#life);
    this.#gate.watch(this.#life);
    this.#life.every(ROTATE_EVERY_MS, 'rotating the log', async () => {
      await rotateLog(join(agentDir(this.home, this.config.cluster, this.config.host), 'agent.log'), AGENT_LOG_LIMIT);
    });
    this.#life.run('watching the lease', async (signal) => {
      while (!signal.aborted) {
        await this.#leaseBell.wait(this.members.watchLease(), signal);
      }
    });
    this.#everyAsLeader(BULLETIN_EVERY_MS, 'telling the status', async () => this.#bulletin.publish(await currentStatus(this)));
    this.#life.every(UPKEEP_EVERY_MS, 'looking after the members', () => this.members.lookAfter());
    this.#everyAsLeader(SPACE_EVERY_MS, 'watching volumes', () => this.volumes.watch());
    this.#everyAsLeader(SHARE_WAL_EVERY_MS, 'sharing WAL', () => this.#shareWal());
    this.#everyAsLeader(VOTERS_EVERY_MS, 'settling the voters', () => settleVoters(this.store, this.view, (host) => this.enrolment.forget(host)));
    return this.#server.port;
  }

  /**
   * What is committed is known only from the leader: an agent that has just started may see an older state than it obeyed
   * before, and does nothing by it.
   */
  async #catchUp(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.store.read(SPEC_KEY);
        // Their orders first: none may act once more by what it was told before.
        await this.members.update();
        // Another site may have taken this one's place while nobody here ran.
        await this.#gate.pass(signal);
        await this.members.update();
        this.members.nowCurrent();
        this.archivers.nowCurrent();
        return;
      } catch (error) {
        this.log.warn({ err: error }, 'the newest state of the cluster is not known yet: members are left as they are');
        await sleep(CATCH_UP_MS, signal);
      }
    }
  }

  /** Ends the agent; its members go on, unless `halt`. */
  async stop(halt: boolean): Promise<void> {
    await this.#life.stop();
    await this.members.stop(halt);
    // Last: what a primary writes when it stops is archived, too.
    await this.archivers.stop(halt);
    this.#unwatch();
    this.view.close();
    this.keeper.close();
    this.#gate.close();
    await this.store.stop();
    await this.transport.stop();
    await this.#server?.close();
    this.#standing.directory.close();
  }

  shutDown(ending: Omit<Ending, 'asked'>): void {
    this.#options.onShutdown({ ...ending, asked: true });
  }

  get credentials(): Credentials {
    return this.#standing.credentials;
  }

  renewCertificate(): Promise<{ validTo: string; issuer: string }> {
    return this.#standing.renew();
  }

  /** The agents that are known, this one too. */
  agents(): AgentAddress[] {
    return this.#standing.directory.list();
  }

  /** Throws `no-such-host` for a host that the cluster does not have, or that has not joined it. */
  clientOf(host: string): RpcClient {
    return this.#standing.directory.clientOf(host);
  }

  #changed(): void {
    this.decider?.soon();
    this.keeper?.look();
    this.#leaseBell.ring();
    this.#standing.changed(this.#life);
    this.archivers?.look();
    this.#life.run('following the documents', () => this.members.update());
  }

  #report(id: number, request: ReportRequest): void {
    const { self, leader } = this.store.leadership();
    if (self) this.#reporter.answered(id, this.#takeReport(request));
    else if (leader !== null) this.transport.report(leader, id, request);
  }

  /** The lease is renewed, or begins: then its end is to be watched. */
  #taken(): void {
    this.members.watchLease();
    this.#leaseBell.ring();
  }

  #takeReport(request: ReportRequest): boolean {
    if (!this.isDecider) return false;
    this.decider.take(request);
    return true;
  }

  /** A new leader is told everything at once. */
  #led({ leader, self, term }: Leadership): void {
    this.log.info({ leader, term }, self ? 'this agent leads' : leader === null ? 'no agent leads' : 'another agent leads');
    this.#leader = leader;
    this.decider.forget();
    this.keeper.forget();
    for (const bell of this.#leaderBells) bell.ring();
    this.#reporter.soon();
  }

  /** Repeats `work` while this agent leads. */
  #everyAsLeader(ms: number, what: string, work: () => Promise<void>): void {
    const bell = new Bell();
    this.#leaderBells.push(bell);
    this.#life.every(ms, what, async () => {
      if (!this.isDecider) return false;
      await work();
      return true;
    }, bell);
  }

  async #shareWal(): Promise<void> {
    for (const volume of Object.keys(this.view.cluster?.document.spec.volumes ?? {})) {
      await reclaimWal(volume, { view: this.view, volumes: this.volumes, seen: (group) => this.decider.seen(group), now: this.now, rate: SHARE_WAL_RATE }, this.#life.signal);
    }
  }
}
