/** One connection to one server, for the agent's own statements: opened when needed, opened again after it broke. */
import { Client } from 'pg';
import { PgorbitError } from '../errors.ts';

export interface SqlTarget {
  /** An address, or the folder of a Unix socket. */
  host: string;
  port: number;
  user: string;
  password: string;
  /** `postgres` when it is left out. */
  database?: string;
  /** 2000 when it is left out. */
  connectTimeoutMs?: number;
}

export interface QueryOptions {
  /** How long an answer may take; 5000 when it is left out. Afterwards the connection is dropped. */
  timeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 2_000;
const QUERY_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 1_000;

// Not in pg's types: the socket, which alone ends a connection to a server that does not answer.
const cut = (client: Client): void => (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();

/** SQLSTATE classes 08 and 57P ("PostgreSQL Error Codes"), a connection that failed and a server that starts or stops; and the socket's own. */
const AWAY = /^(?:08...|57P..|ECONN[A-Z]+|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE)$/;

/** True where an error of a session says that the server is not there at the moment, and nothing of what it was asked. */
export function isAway(error: unknown): boolean {
  if (error instanceof PgorbitError) return error.code === 'timed-out';
  if (!(error instanceof Error)) return false;
  // What pg says of a connection that ended has no code.
  return AWAY.test((error as { code?: string }).code ?? '') || error.message.startsWith('Connection terminated');
}

/**
 * Statements run one after the other. Errors are pg's own, with SQLSTATE in `code` (or the socket's errno); an
 * answer that does not come in time is PgorbitError `timed-out`, and then nobody knows whether the statement ran.
 */
export class SqlSession {
  readonly #target: SqlTarget;
  #client: Promise<Client> | undefined;
  #closed = false;

  constructor(target: SqlTarget) {
    this.#target = target;
  }

  /** The rows. `params` take the places $1, $2 ... */
  async query<T extends object = Record<string, unknown>>(text: string, params: readonly unknown[] = [], options: QueryOptions = {}): Promise<T[]> {
    const pending = this.#connect();
    const client = await pending;
    const timeoutMs = options.timeoutMs ?? QUERY_TIMEOUT_MS;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new PgorbitError('timed-out', `The server at ${this.#target.host}:${this.#target.port} did not answer within ${timeoutMs} ms.`));
      }, timeoutMs);
    });
    const answer = client.query<T>(text, [...params]);
    try {
      return (await Promise.race([answer, late])).rows;
    } catch (error) {
      if (error instanceof PgorbitError) {
        answer.catch(() => undefined); // told already: the statement's own end comes with the cut
        this.#drop(pending);
        cut(client);
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the connection; a server that does not answer is cut off. Later queries fail. */
  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#client?.catch(() => undefined);
    this.#client = undefined;
    if (client === undefined) return;
    const timer = setTimeout(() => cut(client), CLOSE_TIMEOUT_MS);
    await client.end().catch(() => undefined); // a connection that broke is closed as well
    clearTimeout(timer);
  }

  #connect(): Promise<Client> {
    if (this.#closed) return Promise.reject(new PgorbitError('internal', 'This SQL session is closed.'));
    if (this.#client !== undefined) return this.#client;
    const client = new Client({
      host: this.#target.host,
      port: this.#target.port,
      user: this.#target.user,
      password: this.#target.password,
      database: this.#target.database ?? 'postgres',
      application_name: 'pgorbit',
      connectionTimeoutMillis: this.#target.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      keepAlive: true,
    });
    const pending: Promise<Client> = client.connect().then(
      () => client,
      (error: unknown) => {
        this.#drop(pending);
        cut(client);
        throw error;
      },
    );
    // A broken idle connection is no error: the next query opens another.
    client.on('error', () => this.#drop(pending));
    client.on('end', () => this.#drop(pending));
    this.#client = pending;
    return pending;
  }

  #drop(client: Promise<Client>): void {
    if (this.#client === client) this.#client = undefined;
  }
}

/** True when the server accepts a connection and answers a query. Never throws. */
export async function isReady(target: SqlTarget): Promise<boolean> {
  const session = new SqlSession(target);
  try {
    await session.query('SELECT 1', [], { timeoutMs: target.connectTimeoutMs ?? CONNECT_TIMEOUT_MS });
    return true;
  } catch {
    return false;
  } finally {
    await session.close();
  }
}
