/** The server's side of a connection up to the first command: TLS answers, startup, authentication, and reading commands. */
import type { Socket } from 'node:net';
import { type SecureContextOptions, TLSSocket, createSecureContext } from 'node:tls';
import { PgorbitError } from '../errors.ts';
import {
  authenticationOk, authenticationSasl, authenticationSaslContinue, authenticationSaslFinal, backendKeyData, errorResponse, negotiateProtocolVersion, parameterStatus, readyForQuery,
} from './backend.ts';
import { MessageSplitter, malformed } from './buffer.ts';
import { parseSaslInitial, parseStartup } from './frontend.ts';
import { SCRAM_SHA_256, ScramServer, type ScramVerifier } from './scram.ts';

export interface ServerAuth {
  /** Verifiers by user; null trusts whoever connects. */
  users: ReadonlyMap<string, ScramVerifier> | null;
  /** Speaks TLS when asked; without it an SSLRequest is answered 'N'. */
  tls?: SecureContextOptions | undefined;
  /** Refuses connections without TLS. */
  requireTls?: boolean;
}

type Message = { type: string; payload: Buffer };

/** An error that the client is told, and after which the connection ends when it is FATAL. */
export class ClientError extends Error {
  readonly state: string;
  readonly detail: string | undefined;

  constructor(state: string, text: string, detail?: string) {
    super(text);
    this.state = state;
    this.detail = detail;
  }

  response(severity: 'ERROR' | 'FATAL'): Buffer {
    return errorResponse({ severity, code: this.state, message: this.message, ...(this.detail === undefined ? {} : { detail: this.detail }) });
  }
}

export class ServerConnection {
  #socket: Socket;
  readonly #splitter = new MessageSplitter({ untypedFirst: true });
  #waiting: ((message: Message | null) => void) | null = null;
  #closed = false;
  #broken: unknown = null;
  #encrypted = false;
  #onArrival: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    this.#listen(socket);
  }

  get closed(): boolean {
    return this.#closed;
  }
  get remote(): string {
    return `${this.#socket.remoteAddress ?? 'local'}:${this.#socket.remotePort ?? 0}`;
  }

  /**
   * Startup and authentication. Resolves to the client's parameters, null when it went away or only cancelled.
   * Throws ClientError for what the client must be told.
   */
  async handshake(auth: ServerAuth): Promise<Map<string, string> | null> {
    for (;;) {
      const packet = await this.next();
      if (packet === null) return null;
      const parsed = parseStartup(packet.payload);
      if (parsed.kind === 'cancel') return null;
      if (parsed.kind === 'ssl' && auth.tls && !this.#encrypted) {
        await this.#encrypt(auth.tls);
      } else if (parsed.kind === 'ssl' || parsed.kind === 'gssenc') {
        this.#splitter.expectUntyped();
        await this.write(Buffer.from('N'));
      } else {
        if (auth.requireTls && !this.#encrypted) throw new ClientError('28000', 'connections without TLS are refused');
        const unknown = [...parsed.parameters.keys()].filter((name) => name.startsWith('_pq_.'));
        if (parsed.minor > 0 || unknown.length > 0) await this.write(negotiateProtocolVersion(unknown));
        await this.#authenticate(parsed.parameters.get('user') ?? '', auth);
        return parsed.parameters;
      }
    }
  }

  /** What a server says once a client is let in. */
  async welcome(parameters: Record<string, string>): Promise<void> {
    const key = backendKeyData(process.pid, Math.floor(Math.random() * 0x7fffffff));
    await this.write(Buffer.concat([...Object.entries(parameters).map(([name, value]) => parameterStatus(name, value)), key, readyForQuery()]));
  }

  /** The next message; null when the client has gone. */
  async next(): Promise<Message | null> {
    const ready = this.poll();
    if (ready || this.#closed) return ready;
    return await new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** The next message if it is already here. */
  poll(): Message | null {
    if (this.#broken) throw this.#broken;
    return this.#splitter.next();
  }

  /** Rings when something may have arrived, or the client has gone. */
  onArrival(listener: () => void): void {
    this.#onArrival = listener;
  }

  /** Resolves when there is room for more: what the client does not take is not piled up here. */
  async write(bytes: Buffer): Promise<void> {
    if (this.#closed || this.#socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.on('drain', done);
      this.#socket.on('close', done);
    });
  }

  end(): void {
    this.#socket.end();
  }
  destroy(): void {
    this.#socket.destroy();
  }

  async #authenticate(user: string, auth: ServerAuth): Promise<void> {
    if (auth.users !== null) {
      await this.write(authenticationSasl([SCRAM_SHA_256]));
      const first = await this.#password();
      const { mechanism, response } = parseSaslInitial(first);
      if (mechanism !== SCRAM_SHA_256) throw new ClientError('28000', `authentication mechanism ${mechanism} is not spoken here`);
      const scram = new ScramServer(auth.users.get(user) ?? null);
      await this.write(authenticationSaslContinue(scram.challenge(response)));
      const final = scram.finish((await this.#password()).toString());
      if (final === null) throw new ClientError('28P01', `password authentication failed for user "${user}"`);
      await this.write(authenticationSaslFinal(final));
    }
    await this.write(authenticationOk());
  }

  async #password(): Promise<Buffer> {
    const message = await this.next();
    if (message?.type !== 'p') throw malformed('no password where one was due');
    return message.payload;
  }

  async #encrypt(options: SecureContextOptions): Promise<void> {
    // Bytes behind the request would have been sent in clear by somebody in between (CVE-2021-23214).
    if (this.#splitter.drain().length > 0) throw malformed('data before TLS was agreed on');
    const plain = this.#socket;
    plain.removeAllListeners('data');
    plain.write('S');
    const secure = new TLSSocket(plain, { isServer: true, secureContext: createSecureContext(options) });
    this.#socket = secure;
    this.#encrypted = true;
    this.#splitter.expectUntyped();
    this.#listen(secure);
    await new Promise<void>((resolve, reject) => {
      secure.once('secure', resolve);
      secure.once('error', reject);
      secure.once('close', () => reject(malformed('TLS was not completed')));
    });
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.#splitter.push(chunk);
      this.#arrived();
    });
    socket.on('error', () => socket.destroy()); // 'close' follows, and that is what counts
    socket.on('close', () => {
      if (socket !== this.#socket) return;
      this.#closed = true;
      this.#arrived();
    });
    socket.on('end', () => socket.end());
  }

  #arrived(): void {
    this.#onArrival();
    if (this.#waiting === null) return;
    const waiting = this.#waiting;
    try {
      const message = this.#splitter.next();
      if (message === null && !this.#closed) return;
      this.#waiting = null;
      waiting(message);
    } catch (error) {
      this.#broken = error instanceof PgorbitError ? error : malformed(String(error));
      this.#waiting = null;
      this.#closed = true;
      this.#socket.destroy();
      waiting(null);
    }
  }
}
