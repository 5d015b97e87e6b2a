/** Answering calls: HTTPS for holders of a certificate of the cluster's own authority, and for nobody else. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { PgorbitError, toReport } from '../../errors.ts';
import type { Log } from '../../observe/log.ts';
import type { CallName, Calls } from '../api.ts';
import { isSite, type Identity } from '../identity/ca.ts';
import { listenError } from '../ports.ts';
import { readRequest, sendAnswer, sendError } from './http.ts';
import { answerUpgrade, type AcceptStream } from './stream-upgrade.ts';

export interface CallContext {
  /** The common name of the caller's certificate: a host's name, or `admin`; GUEST for one without a certificate. */
  caller: string;
  /** Aborts when the caller has gone and when the server closes: a long poll then returns what it has, or throws. */
  signal: AbortSignal;
}

/** Who has no certificate, and may ask for one with a token: these calls, and no others. */
export const GUEST = '';
const GUEST_CALLS: ReadonlySet<string> = new Set<CallName>(['GET /v1/ca', 'POST /v1/join', 'POST /v1/login']);
/** Who has a certificate as another site's agent: these calls, and no others. */
const SITE_CALLS: ReadonlySet<string> = new Set<CallName>(['GET /v1/site', 'POST /v1/site/certificate', 'POST /v1/site/switchover', 'POST /v1/site/detach']);
/** What a guest may send, bytes. */
const GUEST_LIMIT = 64 * 1024;

export type Handlers = {
  [K in CallName]?: (request: Calls[K]['request'], context: CallContext) => Promise<Calls[K]['answer']>;
};

export interface RpcServer {
  /** The port that is listened on: the one asked for, or the one that was chosen for 0. */
  port: number;
  /** Shows and checks this from the next connection on. */
  setIdentity(identity: Identity): void;
  /** Takes no more calls, aborts those that run, and resolves when they have ended. */
  close(): Promise<void>;
}

export interface RpcServerOptions {
  address: string;
  /** 0: any free one. */
  port: number;
  identity: Identity;
  handlers: Handlers;
  /** Takes the streams of other agents; none are taken without it. */
  accept?: AcceptStream;
  log: Log;
}

/** Longer than the client keeps an idle connection. */
const KEEP_ALIVE_MS = 60_000;
const HANDSHAKE_MS = 10_000;
const REQUEST_MS = 30_000;

/** @throws PgorbitError `port-in-use`, `permission`, or `host-unreachable` for an address that is not this machine's. */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const calls = new RunningCalls();
  const server = createServer(
    {
      ...contextOf(options.identity),
      requestCert: true,
      // Who shows a certificate that is not of this cluster is refused below; who shows none is a guest.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // A peer that vanished without a word is noticed by the kernel instead of holding its long poll for ever.
      keepAlive: true,
      keepAliveInitialDelay: 15_000,
    },
    (request, response) => {
      calls.run((aborting) => answer(options, aborting, request, response));
    },
  );
  server.on('tlsClientError', (error, socket) => {
    options.log.debug({ err: error, peer: socket.remoteAddress }, 'refused a connection: no certificate of this cluster');
    socket.destroy();
  });
  server.on('upgrade', (request, socket, head) => {
    const caller = callerOf(request);
    // Streams are for the agents of this cluster: over them goes the consensus.
    answerUpgrade(request, { socket: socket as Socket, head }, caller, caller !== null && isSite(caller) ? undefined : options.accept);
  });
  // Before the server of HTTP sees the connection, so that whatever it hands on has a certificate of this cluster or none.
  server.prependListener('secureConnection', (socket) => {
    if (socket.authorized || !hasCertificate(socket)) return;
    options.log.debug({ why: socket.authorizationError, peer: socket.remoteAddress }, 'refused a connection: its certificate is not of this cluster');
    socket.destroy();
  });
  const port = await listen(server, options.address, options.port);
  server.on('error', (error) => options.log.error({ err: error }, 'the agent can take no connection at the moment'));
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });

  return {
    port,
    setIdentity: (identity) => server.setSecureContext(contextOf(identity)),
    async close() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      await calls.stop();
      // closeAllConnections() leaves those whose handshake is not done.
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const contextOf = ({ ca, cert, key }: Identity) => ({ ca, cert, key, minVersion: 'TLSv1.3' as const });

/** The calls that run. Each has a controller of its own, so that nothing stays behind on a signal that lives long. */
class RunningCalls {
  readonly #calls = new Map<AbortController, Promise<void>>();
  #stopped = false;

  run(work: (aborting: AbortController) => Promise<void>): void {
    const aborting = new AbortController();
    if (this.#stopped) aborting.abort(stoppingError());
    this.#calls.set(aborting, work(aborting).finally(() => this.#calls.delete(aborting)));
  }

  /** Aborts all calls and waits until they have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const aborting of this.#calls.keys()) aborting.abort(stoppingError());
    await Promise.allSettled(this.#calls.values());
  }
}

function stoppingError(): PgorbitError {
  return new PgorbitError('agent-unreachable', 'The agent is stopping.', { hint: 'Ask again, or ask another agent.' });
}

/** Answers one request whatever happens; never rejects. */
async function answer(options: RpcServerOptions, aborting: AbortController, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = (): void => aborting.abort(new Error('the caller has gone'));
  // Without a listener an error of the connection would end the process.
  request.on('error', gone);
  response.on('error', gone);
  response.once('close', gone);
  const name = `${request.method} ${(request.url ?? '').split('?')[0]}`;
  const caller = callerOf(request) ?? (isGuest(request, name) ? GUEST : null);
  if (caller === null) return void request.socket.destroy();
  try {
    if (isSite(caller) && !SITE_CALLS.has(name)) throw new PgorbitError('permission', `another site may not call "${name}"`);
    const handler = Object.hasOwn(options.handlers, name) ? options.handlers[name as CallName] : undefined;
    if (handler === undefined) {
      sendError(response, 404, { code: 'usage', message: `This agent does not know the call "${name}".`, hint: 'Run the same version of pgorbit on every host.' });
      return;
    }
    const value = await readRequest(request, caller === GUEST ? GUEST_LIMIT : undefined);
    sendAnswer(response, await (handler as (request: unknown, context: CallContext) => Promise<unknown>)(value, { caller, signal: aborting.signal }));
  } catch (error) {
    if (response.destroyed) return;
    // A long poll that ends because the agent stops may throw anything: the caller is told why it ended.
    const shown = aborting.signal.aborted && !(error instanceof PgorbitError) ? aborting.signal.reason : error;
    if (!(shown instanceof PgorbitError)) options.log.error({ err: shown, call: name, caller }, 'a call failed for an unforeseen reason');
    sendError(response, statusOf(shown), toReport(shown));
  }
}

/**
 * The caller's name; null for a guest, and when the connection is gone already and takes the certificate with it. Only
 * certificates of this cluster come this far.
 */
function callerOf(request: IncomingMessage): string | null {
  const name = certificateOf(request.socket as TLSSocket)?.subject?.CN;
  return typeof name === 'string' && name !== GUEST ? name : null;
}

function isGuest(request: IncomingMessage, name: string): boolean {
  return GUEST_CALLS.has(name) && !request.socket.destroyed && !hasCertificate(request.socket as TLSSocket);
}

const hasCertificate = (socket: TLSSocket): boolean => Object.keys(certificateOf(socket) ?? {}).length > 0;

/** Typed as an object always, but null once the handle is closed (lib/_tls_wrap.js), and empty where none was shown. */
const certificateOf = (socket: TLSSocket): PeerCertificate | null => socket.getPeerCertificate() as PeerCertificate | null;

/** 4xx: the caller has to change something; 5xx: the cluster or the host has. */
function statusOf(error: unknown): number {
  if (!(error instanceof PgorbitError)) return 500;
  if (error.code === 'agent-unreachable') return 503;
  if (error.code === 'state-conflict') return 409;
  return { 1: 500, 2: 400, 3: 409, 4: 504 }[error.exitCode];
}

function listen(server: Server, address: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(listenError(error, address, port));
    server.once('error', failed);
    server.listen({ host: address, port }, () => {
      server.off('error', failed);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
