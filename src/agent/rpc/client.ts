/** Calling an agent: HTTPS with the caller's certificate, over connections that are kept. */
import { Agent, request as httpsRequest } from 'node:https';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { errnoOf, PgorbitError, type ErrorReport } from '../../errors.ts';
import type { CallName, Calls } from '../api.ts';
import type { Identity } from '../identity/ca.ts';
import { BODY_LIMIT, tooLarge } from './http.ts';

export interface RpcTarget {
  address: string;
  port: number;
  /** The name that the agent's certificate must carry. */
  host: string;
}

export interface CallOptions {
  /** Until the whole answer is there; default 10 s. */
  timeoutMs?: number;
  /** Until a new connection stands; default: as long as the call may take. An agent that stands still has a kernel that accepts for it. */
  connectMs?: number;
  signal?: AbortSignal;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** Idle connections go before the server's own limit (server.ts), so that a call rarely meets a closing one. */
const IDLE_MS = 30_000;

/** Calls that change nothing, or nothing more when they come twice: sent again when a kept connection had gone stale. */
const REPEATABLE: ReadonlySet<string> = new Set<CallName>([
  'POST /v1/port',
  'POST /v1/volume/usage',
]);

const STALE: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

/** A connection to one agent. `close()` ends its connections and the calls that still run. */
export class RpcClient {
  readonly #target: RpcTarget;
  #agent: Agent;
  /** Those of earlier identities: their connections end by themselves when they are idle. */
  readonly #former: Agent[] = [];
  /** How to end each call that runs. */
  readonly #calls = new Set<(reason: Error) => void>();

  constructor(target: RpcTarget, identity: Identity) {
    this.#target = target;
    this.#agent = this.#agentWith(identity);
  }

  /** Shows and checks this from the next call on; those that run end as they began, and their connections go when they are idle. */
  setIdentity(identity: Identity): void {
    this.#former.push(this.#agent);
    this.#agent = this.#agentWith(identity);
  }

  #agentWith(identity: Identity): Agent {
    const { target } = this;
    return new Agent({
      keepAlive: true,
      timeout: IDLE_MS,
      ca: identity.ca,
      cert: identity.cert,
      key: identity.key,
      minVersion: 'TLSv1.3',
      servername: target.host,
      checkServerIdentity: (_name: string, certificate: PeerCertificate) => checkServerIdentity(target.host, certificate),
    });
  }

  get target(): RpcTarget {
    return this.#target;
  }

  /**
   * @throws PgorbitError `agent-unreachable` (no connection, or not the agent that was meant), `timed-out`, or what
   *   the agent answered; the signal's reason when it aborts.
   */
  async call<K extends CallName>(name: K, request: Calls[K]['request'], options: CallOptions = {}): Promise<Calls[K]['answer']> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const ending = new AbortController();
    const end = (reason: Error): void => ending.abort(reason);
    const forward = (): void => ending.abort(options.signal?.reason);
    const timer = setTimeout(() => end(this.#timedOut(name, timeoutMs)), timeoutMs);
    options.signal?.addEventListener('abort', forward, { once: true });
    if (options.signal?.aborted) forward();
    this.#calls.add(end);
    try {
      return (await this.#send(name, request, ending.signal, options.connectMs)) as Calls[K]['answer'];
    } catch (error) {
      if (ending.signal.aborted) throw ending.signal.reason;
      throw error instanceof PgorbitError ? error : this.#unreachable(error);
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', forward);
      this.#calls.delete(end);
    }
  }

  close(): void {
    for (const end of this.#calls) end(this.#unreachable(new Error('the connection was closed at this end')));
    for (const agent of [...this.#former, this.#agent]) agent.destroy();
  }

  async #send(name: CallName, request: object, signal: AbortSignal, connectMs: number | undefined): Promise<unknown> {
    try {
      return await this.#once(name, request, signal, connectMs);
    } catch (error) {
      const stale = error instanceof StaleConnection && (name.startsWith('GET ') || REPEATABLE.has(name));
      if (!stale || signal.aborted) throw error instanceof StaleConnection ? error.cause : error;
    }
    return this.#once(name, request, signal, connectMs);
  }

  #once(name: CallName, request: object, signal: AbortSignal, connectMs: number | undefined): Promise<unknown> {
    const [method, path] = name.split(' ') as ['GET' | 'POST', string];
    const body = method === 'POST' ? JSON.stringify(request) : undefined;
    // The agent would cut the connection in the middle of it, and its answer might be lost.
    if (body !== undefined && Buffer.byteLength(body) > BODY_LIMIT) return Promise.reject(tooLarge());
    const query = method === 'GET' ? `?${new URLSearchParams(request as Record<string, string>).toString()}` : '';
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest({
        agent: this.#agent,
        host: this.#target.address,
        port: this.#target.port,
        method,
        path: path + query,
        headers: body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        signal,
      });
      outgoing.on('error', (error) => {
        reject(outgoing.reusedSocket && STALE.has(errnoOf(error) ?? '') ? new StaleConnection(error) : error);
      });
      if (connectMs !== undefined) outgoing.on('socket', (socket) => giveUpUnlessConnected(outgoing, socket, connectMs));
      outgoing.on('response', (response) => {
        readAnswer(response).then(resolve, reject);
      });
      outgoing.end(body);
    });
  }

  #unreachable(cause: unknown): PgorbitError {
    const { host, address, port } = this.#target;
    const why = cause instanceof Error ? cause.message : String(cause);
    return new PgorbitError('agent-unreachable', `The agent of host ${host} does not answer at ${address}:${port}: ${why}.`, {
      hint: hintFor(cause, host),
      cause,
    });
  }

  #timedOut(name: CallName, timeoutMs: number): PgorbitError {
    const { host, address, port } = this.#target;
    return new PgorbitError('timed-out', `The agent of host ${host} at ${address}:${port} did not answer "${name}" within ${timeoutMs} ms.`, {
      hint: 'What was asked may still happen. Look at `pgorbit status` and at the log of that agent.',
    });
  }
}

/** Nothing of the request has left before the handshake is done. */
function giveUpUnlessConnected(outgoing: ClientRequest, socket: Socket, connectMs: number): void {
  if (outgoing.reusedSocket) return;
  const timer = setTimeout(() => outgoing.destroy(new Error(`no connection within ${connectMs / 1000} s`)), connectMs);
  const done = (): void => clearTimeout(timer);
  socket.once('secureConnect', done).once('close', done);
}

/** A kept connection that the other side had closed before it answered. */
class StaleConnection extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

/** What an agent answered. Throws its error. */
export async function readAnswer(response: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (error) {
    throw new Error(`status ${response.statusCode}, and no JSON`, { cause: error });
  }
  if (response.statusCode === 200) return answer;
  const report = answer as Partial<ErrorReport> | null;
  if (typeof report?.code !== 'string' || typeof report.message !== 'string') throw new Error(`status ${response.statusCode}`);
  throw PgorbitError.fromReport(report as ErrorReport);
}

function hintFor(cause: unknown, host: string): string {
  const code = errnoOf(cause) ?? '';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return 'Another agent answers there. Look at the address and port of the host in the manifest.';
  }
  if (code === 'CERT_HAS_EXPIRED') return 'Its certificate has expired, or the clock of one of the two hosts is wrong.';
  if (/CERT|SELF_SIGNED|ISSUER|SIGNATURE|ERR_SSL/.test(code)) {
    return 'Something answers there that is not of this cluster. Look at the address and port, and at PGORBIT_HOME.';
  }
  return `Start the agent of ${host} with \`pgorbit up\`, or read its agent.log if it should be running.`;
}
