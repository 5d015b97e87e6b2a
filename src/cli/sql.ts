/** SQL over pg, with results as PostgreSQL wrote them. */
import { Client, DatabaseError } from 'pg';
import type { Account } from '../group/model.ts';
import { PgorbitError } from '../errors.ts';
import type { ResultTable } from './print/rows.ts';
import type { ServerError } from './print/sql-error.ts';
import type { Place } from './plan/uri.ts';

export interface SqlOptions {
  member: Place;
  account: Account;
  database: string;
  timeoutMs: number | undefined;
  onNotice: (notice: ServerError) => void;
  /** Bytes of COPY … TO STDOUT. */
  onCopy: (data: Buffer) => void;
  signal: AbortSignal;
}

/** Values stay text: a person reads them, and nothing is lost on the way through JavaScript's types. */
const TEXT = { getTypeParser: () => (value: string) => value };

/** What pg does not declare of its client: the protocol's own messages. */
interface Inner {
  processID: number;
  connection: {
    on(event: 'copyData', listener: (message: { chunk: Buffer }) => void): void;
    on(event: 'commandComplete', listener: (message: { text: string }) => void): void;
  };
}

export interface SqlSession {
  /** One round to the server: several statements in one text are one transaction, as with psql's -c. */
  run(text: string): Promise<ResultTable[]>;
  end(): Promise<void>;
}

/** Throws `postgres-failed` where the member can't be reached or refuses the login. */
export async function openSql(options: SqlOptions): Promise<SqlSession> {
  const { member, account, database } = options;
  const client = new Client({
    host: member.address,
    port: member.port,
    user: account.user,
    password: account.password,
    database,
    application_name: 'pgorbit sql',
    connectionTimeoutMillis: options.timeoutMs ?? 15_000,
    ...(options.timeoutMs === undefined ? {} : { statement_timeout: options.timeoutMs }),
    types: TEXT as never,
  });
  client.on('notice', (notice) => options.onNotice({ ...notice, severity: notice.severity ?? 'NOTICE', message: notice.message ?? '' }));
  // A connection that breaks between two statements is told by the next one.
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (cause) {
    throw new PgorbitError('postgres-failed', `${member.name} (${member.address}:${member.port}) does not let us in: ${(cause as Error).message}`, { hint: 'see `pgorbit status` and `pgorbit logs ' + member.name + '`', cause });
  }
  const { connection, processID: pid } = client as unknown as Inner;
  connection.on('copyData', ({ chunk }) => options.onCopy(chunk));
  // pg keeps the first word of a command's tag; a person wants `CREATE TABLE`.
  let tags: string[] = [];
  connection.on('commandComplete', ({ text }) => tags.push(text));
  const cancel = (): void => void cancelBackend(options, pid);
  options.signal.addEventListener('abort', cancel, { once: true });
  return {
    async run(text) {
      tags = [];
      const answer = (await client.query({ text, rowMode: 'array' })) as unknown as ResultTable | ResultTable[];
      const results = Array.isArray(answer) ? answer : [answer];
      return results.map(({ rowCount, fields, rows }, i) => ({ tag: tags[i] ?? null, rowCount, fields, rows }));
    },
    async end() {
      options.signal.removeEventListener('abort', cancel);
      await client.end().catch(() => undefined);
    },
  };
}

/** Ctrl-C ends the statement, not only our waiting for it. */
async function cancelBackend({ member, account, database }: SqlOptions, pid: number): Promise<void> {
  const client = new Client({ host: member.address, port: member.port, user: account.user, password: account.password, database, connectionTimeoutMillis: 5_000 });
  try {
    await client.connect();
    await client.query('select pg_cancel_backend($1)', [pid]);
  } catch {
    // The server is gone: then the statement is, too.
  } finally {
    await client.end().catch(() => undefined);
  }
}

export const isServerError = (error: unknown): error is DatabaseError & ServerError => error instanceof DatabaseError;
