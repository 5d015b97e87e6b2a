/** Finding the member that accepts writes, as a client with several hosts in its connection string does. */
import { Client } from 'pg';

/** One server of a URI. */
export interface Target {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
}

/** The servers of a URI with one or more hosts, as `pgorbit uri` prints it. Pure. */
export function targetsOf(uri: string): Target[] {
  const found = /^postgres(?:ql)?:\/\/([^:@/]*):([^@/]*)@([^/?]+)\/([^?]*)/.exec(uri);
  if (found === null) throw new Error(`this is no URI with user, password, hosts and database: ${uri.replace(/:[^:@]*@/, ':…@')}`);
  const [, user = '', password = '', hosts = '', database = ''] = found;
  return hosts.split(',').map((place) => {
    const colon = place.lastIndexOf(':');
    return {
      host: place.slice(0, colon).replaceAll(/[[\]]/g, ''),
      port: Number(place.slice(colon + 1)),
      user: decodeURIComponent(user),
      password: decodeURIComponent(password),
      database: decodeURIComponent(database),
    };
  });
}

export interface ConnectOptions {
  /** Until a connection is there; default 1000 ms. */
  connectMs?: number;
  /** Until a statement is answered; default none. */
  queryMs?: number;
}

/** A connection to one server. Its errors outside a query are swallowed: the next query shows them. */
export async function connectTo(target: Target, options: ConnectOptions = {}): Promise<Client> {
  const client = new Client({
    ...target,
    connectionTimeoutMillis: options.connectMs ?? 1000,
    ...(options.queryMs === undefined ? {} : { query_timeout: options.queryMs }),
    application_name: 'pgorbit-test',
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    drop(client);
    throw error;
  }
}

/** Tries each server once, in turn; null where none accepts writes now. */
export async function connectToWriter(targets: readonly Target[], options: ConnectOptions = {}): Promise<Client | null> {
  for (const target of targets) {
    let client: Client | undefined;
    try {
      client = await connectTo(target, options);
      const { rows } = await client.query<{ recovery: boolean }>('select pg_is_in_recovery() as recovery');
      if (rows[0]?.recovery === false) return client;
    } catch {
      // Down, or still starting: the next one.
    }
    if (client !== undefined) drop(client);
  }
  return null;
}

/** Ends a connection without waiting for a server that may no longer answer. */
export function drop(client: Client): void {
  // Not in pg's types: the socket.
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}
