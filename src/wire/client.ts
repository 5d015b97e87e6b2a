/** A replication connection to a server: TLS, authentication, commands with small answers, and the streams that CopyBoth and CopyOut open. */
import { type OnReadOpts, type Socket, connect as connectSocket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { PgorbitError } from '../errors.ts';
import { parseDataRow, parseError, parseParameterStatus, type ServerError } from './backend.ts';
import { Fields, MessageSplitter, malformed } from './buffer.ts';
import { CopyOutSplitter, type OnPiece } from './copy-out.ts';
import { copyData, copyDone, passwordMessage, query, saslInitial, saslResponse, sslRequest, startup, terminate } from './frontend.ts';
import { SCRAM_SHA_256, ScramClient } from './scram.ts';

export interface ConnectOptions {
  host: string;
  port: number;
  user: string;
  password?: string | undefined;
  applicationName: string;
  /** Speaks TLS with these options, or not at all; there is no falling back. */
  tls?: ConnectionOptions | undefined;
  timeoutMs: number;
  /** Where the bytes of a connection without TLS go, read after read: what is handed on is a view of it. Without it, to fresh memory for every read. */
  memory?: Buffer | undefined;
}

/** A server's own error: `state` is its SQLSTATE. */
export class UpstreamError extends PgorbitError {
  readonly state: string;

  constructor(where: string, error: ServerError) {
    super('operation-failed', `${where}: ${error.message}${error.detail === undefined ? '' : ` (${error.detail})`}`, { hint: error.hint });
    this.state = error.code;
  }
}

/** The server does not have the file, a WAL segment or a history, that it was asked for: ERRCODE_UNDEFINED_FILE. */
export const isMissingFile = (error: unknown): error is UpstreamError => error instanceof UpstreamError && error.state === '58P01';

/** A row of text per answer row, or the news that the server now streams; `copy-out` comes with the rows before it. */
export type Answer = { kind: 'rows'; rows: (string | null)[][] } | { kind: 'copy-both' } | { kind: 'copy-out'; rows: (string | null)[][] };

/** An upstream that is gone without a word is noticed after twice this: libuv probes ten times, a second apart. */
const KEEPALIVE_MS = 10_000;
/**
 * How long what a server copies may gather after a read that did not fill its memory. A server sends 32 kB at a time:
 * to wake up for each costs more than to take it, and takes the processor away from a server on the same machine
 * (2.4 GB from a loaded server on two cores: 100,000 wakeups and 9.3 s; so 8,000 and 4.6 s).
 */
const GATHER_MS = 1;
/** What goes to a server in one message of CopyData. */
const COPY_IN_BYTES = 64 * 1024;

/** The most that one record of TLS holds (RFC 8446, 5.1). */
const TLS_RECORD_BYTES = 16 * 1024;

type Message = { type: string; payload: Buffer };

export class ReplicationClient {
  readonly where: string;
  readonly parameters = new Map<string, string>();
  readonly #socket: Socket;
  readonly #splitter = new MessageSplitter({ untypedFirst: false });
  #failure: PgorbitError | null = null;
  #waiting: { resolve: (message: Message) => void; reject: (error: unknown) => void } | null = null;
  #streaming: ((message: Message) => void) | null = null;
  #onRead: (more: boolean) => void = () => {};
  /** As much as one read can give: less came, and nothing more lies ready. */
  readonly #readBytes: number;
  #copying: { splitter: CopyOutSplitter; resolve: () => void; reject: (error: unknown) => void } | null = null;
  #onClosed: (error: PgorbitError) => void = () => {};
  #paused = false;
  #gathering: NodeJS.Timeout | null = null;

  private constructor(socket: Socket, where: string, readBytes: number) {
    this.#socket = socket;
    this.where = where;
    this.#readBytes = readBytes;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#fail(new PgorbitError('host-unreachable', `${where}: ${error.message}`, { cause: error })));
    socket.on('close', () => this.#fail(new PgorbitError('host-unreachable', `${where} closed the connection`)));
  }

  /** Connects and authenticates. Throws PgorbitError `host-unreachable`, `permission`, `timed-out` or UpstreamError. */
  static async connect(options: ConnectOptions, signal?: AbortSignal): Promise<ReplicationClient> {
    const where = `${options.host}:${options.port}`;
    let receive: (chunk: Buffer) => void = () => {};
    const socket = connectSocket({
      host: options.host, port: options.port,
      ...(options.memory && !options.tls ? { onread: readInto(options.memory, (chunk) => receive(chunk)) } : {}),
    });
    const cut = (): void => void socket.destroy();
    const timer = setTimeout(cut, options.timeoutMs);
    signal?.addEventListener('abort', cut, { once: true });
    if (signal?.aborted) cut();
    try {
      await opened(socket, where);
      socket.setKeepAlive(true, KEEPALIVE_MS);
      const readBytes = options.memory && !options.tls ? options.memory.length : TLS_RECORD_BYTES;
      const client = new ReplicationClient(options.tls ? await encrypt(socket, options.tls, where) : socket, where, readBytes);
      receive = (chunk) => client.#receiveView(chunk);
      await client.#authenticate(options);
      return client;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cut);
    }
  }

  /** Runs one replication command. */
  async command(text: string): Promise<Answer> {
    this.write(query(text));
    const rows: (string | null)[][] = [];
    let error: UpstreamError | null = null;
    for (;;) {
      const { type, payload } = await this.#next();
      if (type === 'D') rows.push(parseDataRow(payload));
      else if (type === 'E') error = new UpstreamError(this.where, parseError(payload));
      else if (type === 'W') return { kind: 'copy-both' };
      else if (type === 'H') return { kind: 'copy-out', rows };
      else if (type === 'Z') {
        if (error) throw error;
        return { kind: 'rows', rows };
      }
    }
  }

  /** Runs a command that takes bytes (CopyIn), and gives it `bytes`. Throws as `command` does. */
  async copyIn(text: string, bytes: Buffer): Promise<void> {
    this.write(query(text));
    let error: UpstreamError | null = null;
    for (;;) {
      const { type, payload } = await this.#next();
      if (type === 'G') {
        for (let at = 0; at < bytes.length; at += COPY_IN_BYTES) this.write(copyData(bytes.subarray(at, at + COPY_IN_BYTES)));
        this.write(copyDone());
      } else if (type === 'E') error = new UpstreamError(this.where, parseError(payload));
      else if (type === 'Z') {
        if (error) throw error;
        return;
      }
    }
  }

  /**
   * After `copy-both`: every message goes to `onMessage`, synchronously as it arrives; the end to `onClosed`. `onRead`
   * comes after the last whole message of each read: with `more` where the read filled its memory, so that the next one
   * follows at once. A payload is good, and the receiver's to change, until `onRead` returns.
   */
  stream(onMessage: (message: Message) => void, onClosed: (error: PgorbitError) => void, onRead: (more: boolean) => void = () => {}): void {
    this.#onClosed = onClosed;
    this.#onRead = onRead;
    this.#streaming = onMessage;
    if (this.#failure) return onClosed(this.#failure);
    this.#deliver();
    onRead(false);
  }

  /** Ends streaming from within `onMessage`: what comes next waits for `afterStream`. */
  endStream(): void {
    this.#streaming = null;
  }

  /**
   * After `copy-out`: everything that CopyData carries goes to `onPiece`, synchronously, as it arrives: views of the
   * memory that was given for it. Resolves to the rows that follow the end. What `onPiece` throws ends the connection.
   */
  async copyOut(onPiece: OnPiece): Promise<(string | null)[][]> {
    for (;;) {
      await this.#copyPieces(onPiece);
      const { type, payload } = await this.#next();
      if (type === 'd') onPiece(payload, true, true);
      else if (type === 'E') throw new UpstreamError(this.where, parseError(payload));
      else if (type === 'c') return await this.afterStream();
    }
  }

  /** Reads no more until `resume`: the server then waits. What has been received already is still delivered. */
  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#gathering === null) this.#socket.resume();
  }

  /** After both sides said CopyDone: the rows that tell of the next timeline, or of a backup's end. */
  async afterStream(): Promise<(string | null)[][]> {
    const rows: (string | null)[][] = [];
    for (;;) {
      const { type, payload } = await this.#next();
      if (type === 'D') rows.push(parseDataRow(payload));
      else if (type === 'E') throw new UpstreamError(this.where, parseError(payload));
      else if (type === 'Z') return rows;
    }
  }

  /** False where the kernel has not taken all of `bytes` yet: then they must stay as they are. */
  write(bytes: Buffer): boolean {
    if (this.#socket.destroyed) return true;
    this.#socket.write(bytes);
    return this.#socket.writableLength === 0;
  }

  /** Cuts the connection now: nothing that Node still holds is sent. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Says goodbye. */
  end(): void {
    if (!this.#socket.destroyed) this.#socket.end(terminate());
  }

  async #authenticate(options: ConnectOptions): Promise<void> {
    this.write(startup({ user: options.user, database: 'replication', replication: 'true', application_name: options.applicationName }));
    let scram: ScramClient | null = null;
    const password = (): string => {
      if (options.password === undefined) throw new PgorbitError('permission', `${this.where} asks ${options.user} for a password, and none is configured`);
      return options.password;
    };
    for (;;) {
      const { type, payload } = await this.#next();
      if (type === 'E') throw new UpstreamError(this.where, parseError(payload));
      if (type === 'S') {
        const { name, value } = parseParameterStatus(payload);
        this.parameters.set(name, value);
      }
      if (type === 'Z') return;
      if (type !== 'R') continue;
      const fields = new Fields(payload);
      const method = fields.int32();
      if (method === 3 && !options.tls) throw new PgorbitError('unsafe', `${this.where} asks for the password in clear text over an unencrypted connection`, { hint: 'use scram-sha-256 in pg_hba.conf' });
      if (method === 3) this.write(passwordMessage(password()));
      else if (method === 10) {
        if (!fields.rest().toString().split('\0').includes(SCRAM_SHA_256)) throw malformed('no SASL mechanism in common');
        scram = new ScramClient(password());
        this.write(saslInitial(SCRAM_SHA_256, scram.first()));
      } else if (method === 11 && scram) this.write(saslResponse(scram.final(fields.rest().toString())));
      else if (method === 12 && scram) scram.verify(fields.rest().toString());
      else if (method !== 0) throw new PgorbitError('permission', `${this.where} asks for an authentication method that pgorbit does not speak (${method})`, { hint: 'use scram-sha-256 in pg_hba.conf' });
    }
  }

  /** Resolves when something else than CopyData is next. */
  #copyPieces(onPiece: OnPiece): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#copying = { splitter: new CopyOutSplitter(onPiece), resolve, reject };
      this.#receive(this.#splitter.drain());
    });
  }

  /** What was read to memory that is used again: only what no message was made of yet has to be copied. */
  #receiveView(chunk: Buffer): void {
    if (this.#copying || this.#streaming) this.#receive(chunk, true);
    else this.#receive(Buffer.from(chunk));
    if (this.#copying && chunk.length < this.#readBytes) this.#gather();
  }

  /** Lets more arrive before the next read. */
  #gather(): void {
    this.#socket.pause();
    this.#gathering ??= setTimeout(() => {
      this.#gathering = null;
      if (!this.#paused) this.#socket.resume();
    }, GATHER_MS);
  }

  #receive(chunk: Buffer, view = false): void {
    try {
      if (this.#copying) {
        const rest = this.#copying.splitter.push(chunk);
        if (rest === null) return;
        this.#splitter.push(Buffer.from(rest));
        const { resolve } = this.#copying;
        this.#copying = null;
        return resolve();
      }
      this.#splitter.push(chunk);
      this.#deliver();
      if (view) this.#splitter.own();
      if (this.#streaming) this.#onRead(chunk.length >= this.#readBytes);
    } catch (error) {
      this.#fail(error instanceof PgorbitError ? error : new PgorbitError('internal', String(error), { cause: error }));
      this.#socket.destroy();
    }
  }

  #deliver(): void {
    while (this.#streaming || this.#waiting) {
      const message = this.#splitter.next();
      if (message === null) return;
      if (message.type === 'N') continue;
      if (this.#streaming) this.#streaming(message);
      else {
        const { resolve } = this.#waiting!;
        this.#waiting = null;
        resolve(message);
      }
    }
  }

  #next(): Promise<Message> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#waiting = { resolve, reject };
      try {
        this.#deliver();
      } catch (error) {
        reject(error);
      }
    });
  }

  #fail(error: PgorbitError): void {
    if (this.#failure) return;
    this.#failure = error;
    if (this.#gathering !== null) clearTimeout(this.#gathering);
    this.#gathering = null;
    this.#waiting?.reject(error);
    this.#waiting = null;
    this.#copying?.reject(error);
    this.#copying = null;
    if (this.#streaming) this.#onClosed(error);
  }
}

function readInto(memory: Buffer, receive: (chunk: Buffer) => void): OnReadOpts {
  return {
    buffer: memory,
    callback: (bytes) => {
      receive(memory.subarray(0, bytes));
      return true;
    },
  };
}

function opened(socket: Socket, where: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (error) => reject(new PgorbitError('host-unreachable', `cannot connect to ${where}: ${error.message}`, { cause: error })));
    socket.once('close', () => reject(new PgorbitError('timed-out', `cannot connect to ${where}: given up`)));
  });
}

async function encrypt(socket: Socket, tls: ConnectionOptions, where: string): Promise<Socket> {
  socket.write(sslRequest());
  const answer = await new Promise<Buffer>((resolve, reject) => {
    socket.once('data', resolve);
    socket.once('close', () => reject(new PgorbitError('host-unreachable', `${where} closed the connection`)));
  });
  // Anything after the one byte would have been sent in clear by somebody in between (CVE-2021-23222).
  if (answer.length !== 1 || answer[0] !== 0x53) throw new PgorbitError('unsafe', `${where} does not speak TLS`, { hint: 'turn on ssl there, or leave TLS out here' });
  const secure = connectTls({ ...tls, socket });
  await new Promise<void>((resolve, reject) => {
    secure.once('secureConnect', resolve);
    secure.once('error', (error) => reject(new PgorbitError('unsafe', `${where}: ${error.message}`, { cause: error })));
  });
  return secure;
}
