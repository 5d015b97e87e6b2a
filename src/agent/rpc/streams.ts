/**
 * The streams of one agent to all others: one connection a pair, over which the consensus and the reports go. Of two
 * agents the one whose name sorts first opens it, and opens it anew whenever it is lost; the other one does when that
 * takes long. Should there be two for a
 * moment, because only one side has noticed a loss, the newer one counts.
 */
import { createSecureContext, type SecureContext } from 'node:tls';
import type { RaftTransport } from '../../consensus/transport.ts';
import { Lifecycle, sleep } from '../../lifecycle.ts';
import type { Log } from '../../observe/log.ts';
import { ADMIN, type Identity } from '../identity/ca.ts';
import type { StatusDocument } from '../api.ts';
import type { ReportRequest } from '../reporter.ts';
import type { RpcTarget } from './client.ts';
import { StreamConnection } from './stream-connection.ts';
import type { Item } from './stream-items.ts';
import { Outbox } from './stream-outbox.ts';
import { openStream, type Upgraded } from './stream-upgrade.ts';

/** Between attempts to connect: this, doubled with each that fails, up to the limit. ms */
const RETRY_MS = 20;
const RETRY_LIMIT_MS = 500;
/** Without a connection for this long the agent whose name sorts last tries, too: the other may not know it yet. ms */
const OTHERS_TURN_MS = 3_000;
/** For one attempt, TLS and upgrade included. ms */
const OPEN_MS = 2_000;
const CHECK_MS = 500;

export interface StreamsOptions {
  /** This agent's host. */
  self: string;
  /** The other agents. */
  peers: readonly RpcTarget[];
  identity: Identity;
  log: Log;
  /** ms, monotonic */
  now: () => number;
}

/** What the agent does with what comes; each may throw, which is logged. */
export interface StreamHandlers {
  /** @returns whether this agent leads and has taken it. */
  report: (request: ReportRequest) => boolean;
  /** The leading agent tells what `pgorbit status` shows. */
  status: (document: StatusDocument) => void;
  reportAnswered: (id: number, known: boolean) => void;
  connected: (peer: string) => void;
  /** Something leaves for the peer: what may wait a little can go with it. */
  leaving: (peer: string) => void;
}

interface Peer {
  target: RpcTarget;
  outbox: Outbox;
  connection: StreamConnection | null;
  /** Keeps the connection open; ends when the peer is no longer one. */
  life: Lifecycle;
}

export class AgentStreams implements RaftTransport {
  readonly #options: StreamsOptions;
  readonly #peers = new Map<string, Peer>();
  #context: SecureContext;
  readonly #life: Lifecycle;
  #started = false;
  #handlers: StreamHandlers = { report: () => false, status: () => undefined, reportAnswered: () => undefined, connected: () => undefined, leaving: () => undefined };
  #onRaft: (from: string, message: unknown) => void = () => undefined;

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#context = contextOf(options.identity);
    this.#life = this.#newLife();
    this.setPeers(options.peers);
  }

  /** The other agents have changed: new ones are called, and connections to those that left or moved end. */
  setPeers(targets: readonly RpcTarget[]): void {
    for (const [host, peer] of this.#peers) {
      const target = targets.find((one) => one.host === host);
      if (target?.address === peer.target.address && target.port === peer.target.port) continue;
      this.#peers.delete(host);
      peer.connection?.close('it left, or is reached elsewhere from now on');
      this.#life.run(`leaving ${host}`, () => peer.life.stop());
    }
    for (const target of targets) {
      if (this.#peers.has(target.host) || target.host === this.#options.self) continue;
      const peer: Peer = { target, outbox: new Outbox(), connection: null, life: this.#newLife() };
      this.#peers.set(target.host, peer);
      if (this.#started) this.#call(peer);
    }
  }

  /** Connections from now on are opened with this certificate; those that are there stay. */
  identify(identity: Identity): void {
    this.#context = contextOf(identity);
  }

  /** Before start(). */
  handle(handlers: StreamHandlers): void {
    this.#handlers = handlers;
  }

  /** Connects to those that this agent has to call; the others call. */
  start(): void {
    this.#started = true;
    for (const peer of this.#peers.values()) this.#call(peer);
    let checked = this.#options.now();
    this.#life.every(CHECK_MS, 'checking the streams', () => {
      const late = this.#options.now() - checked > 2 * CHECK_MS;
      checked = this.#options.now();
      for (const { connection } of this.#peers.values()) connection?.check(late);
    });
  }

  /** Takes a connection that another agent has opened: see AcceptStream. */
  accept(caller: string, upgraded: Upgraded): string | null {
    if (caller === ADMIN || caller === this.#options.self) {
      this.#options.log.warn({ caller }, 'refused a stream of somebody who is no other agent of this cluster');
      return `${caller} is no other agent of this cluster`;
    }
    // Its certificate says that it belongs to the cluster: it may have joined while this agent was away, and lead by now.
    const peer = this.#peers.get(caller) ?? this.#stranger(caller);
    if (this.#life.stopping) return 'this agent is stopping';
    this.#adopt(peer, upgraded);
    return null;
  }

  onMessage(handler: (from: string, message: unknown) => void): void {
    this.#onRaft = handler;
  }

  send(to: string, message: object): void {
    const peer = this.#peers.get(to);
    if (peer === undefined) return;
    peer.outbox.raft(message, this.#options.now());
    this.#guarded(() => this.#handlers.leaving(to));
    peer.connection?.flush();
  }

  /** Sends this host's reports to the leading agent. One that still waits is replaced; StreamHandlers hear of the answer. */
  report(to: string, id: number, request: ReportRequest): void {
    const peer = this.#peers.get(to);
    if (peer === undefined) return;
    peer.outbox.report(id, request, this.#options.now());
    peer.connection?.flush();
  }

  /** To every agent that is connected. */
  announce(document: StatusDocument): void {
    for (const { outbox, connection } of this.#peers.values()) {
      if (connection === null) continue;
      outbox.status(document, this.#options.now());
      connection.flush();
    }
  }

  /** The agents to which there is a connection. */
  connected(): string[] {
    return [...this.#peers.values()].flatMap(({ target, connection }) => (connection === null ? [] : [target.host]));
  }

  async stop(): Promise<void> {
    const stopped = [this.#life.stop(), ...[...this.#peers.values()].map(({ life }) => life.stop())];
    for (const { connection } of this.#peers.values()) connection?.close('this agent is stopping');
    await Promise.all(stopped);
  }

  #newLife(): Lifecycle {
    return new Lifecycle((error, what) => this.#options.log.error({ err: error, what }, 'a stream to another agent failed for an unforeseen reason'));
  }

  /** Until it is known where it is, it has to call. */
  #stranger(host: string): Peer {
    const peer: Peer = { target: { host, address: '', port: 0 }, outbox: new Outbox(), connection: null, life: this.#newLife() };
    this.#peers.set(host, peer);
    return peer;
  }

  #call(peer: Peer): void {
    const { host } = peer.target;
    if (!this.#life.stopping) peer.life.run(`the stream to ${host}`, (signal) => this.#keepOpen(peer, signal));
  }

  async #keepOpen(peer: Peer, signal: AbortSignal): Promise<void> {
    let pause = RETRY_MS;
    let told = false;
    while (!signal.aborted) {
      if (peer.connection === null && this.#options.self > peer.target.host) await sleep(OTHERS_TURN_MS, signal);
      if (signal.aborted) return;
      try {
        const connection = peer.connection ?? this.#adopt(peer, await this.#open(peer.target, signal));
        await connection.ended;
        // One on which nothing came was as good as none.
        if (connection.heard) {
          pause = RETRY_MS;
          told = false;
        }
      } catch (error) {
        if (!told && !signal.aborted) this.#options.log.info({ peer: peer.target.host, why: (error as Error).message }, 'no stream to the other agent: trying again and again');
        told = true;
      }
      await sleep(pause, signal);
      pause = Math.min(2 * pause, RETRY_LIMIT_MS);
    }
  }

  async #open(target: RpcTarget, signal: AbortSignal): Promise<Upgraded> {
    const ending = new AbortController();
    const stop = (): void => ending.abort(new Error('this agent is stopping'));
    const timer = setTimeout(() => ending.abort(new Error(`it did not answer within ${OPEN_MS / 1000} s`)), OPEN_MS);
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await openStream(target, this.#context, ending.signal);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  #adopt(peer: Peer, upgraded: Upgraded): StreamConnection {
    const { log, now } = this.#options;
    const { host } = peer.target;
    peer.outbox.reconnected();
    const connection = new StreamConnection({
      peer: host, ...upgraded, outbox: peer.outbox, now, onItem: (item, alone) => this.#take(peer, item, alone),
    });
    const before = peer.connection;
    peer.connection = connection;
    before?.close('there is a newer one');
    this.#life.run(`the end of the stream to ${host}`, async () => {
      const reason = await connection.ended;
      if (peer.connection === connection) peer.connection = null;
      if (!this.#life.stopping) log.info({ peer: host, why: reason }, 'the stream to the other agent ended');
    });
    if (this.#life.stopping || peer.life.stopping) connection.close('this agent is stopping, or the other one left');
    else {
      log.info({ peer: host }, 'there is a stream to the other agent');
      this.#guarded(() => this.#handlers.connected(host));
    }
    return connection;
  }

  #take({ target, outbox }: Peer, item: Item, alone: boolean): void {
    switch (item.kind) {
      case 'raft': return this.#guarded(() => this.#onRaft(target.host, item.message));
      case 'report-ack': return this.#guarded(() => this.#handlers.reportAnswered(item.id, item.known));
      case 'report': {
        let known = false;
        this.#guarded(() => {
          known = this.#handlers.report(item.request);
        });
        outbox.ack(item.id, known, this.#options.now());
        // Nobody hurries for the answer to a report that only went along: it leaves with the next heartbeat.
        if (alone || !known) this.#peers.get(target.host)?.connection?.flush();
        return;
      }
      case 'status': return this.#guarded(() => this.#handlers.status(item.document));
      case 'alive':
    }
  }

  /** What one message brings about ends neither the connection nor the agent. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.log.error({ err: error }, 'what another agent sent could not be dealt with');
    }
  }
}

const contextOf = ({ ca, cert, key }: Identity): SecureContext => createSecureContext({ ca, cert, key, minVersion: 'TLSv1.3' });
