/**
 * Connection URIs as libpq reads them (PostgreSQL's documentation, libpq, "Connection URIs": several hosts, each with
 * its port, and target_session_attrs, which libpq 14 and later know with `prefer-standby`). An unknown parameter is an
 * error in libpq, so load_balance_hosts, which only libpq 16 and later know, is written only when asked for.
 */
import type { Account } from '../../group/model.ts';
import { PgorbitError } from '../../errors.ts';

/** What a URI needs to know of a member; MemberStatus has it all. */
export interface Place {
  name: string;
  role: string;
  address: string;
  port: number;
}

export type Endpoint = 'rw' | 'ro' | 'split';

export interface UriOptions {
  account: Account;
  database: string;
  /** Adds load_balance_hosts=random to the read-only URI, for libpq 16 and later. */
  balance?: boolean;
}

/** The member, if it answers SQL. Throws `usage` for a logger. */
export function answering<P extends { name: string; role: string }>(member: P): P {
  if (member.role !== 'logger') return member;
  throw new PgorbitError('usage', `${member.name} is a logger: it stores WAL and answers no SQL`, { hint: `name a member with data; \`pgorbit wal ls --member ${member.name}\` shows what a logger has` });
}

/** The URI of one member. */
export function memberUri(member: Place, options: UriOptions): string {
  return render([member], {}, options);
}

/**
 * The URI of an endpoint. `rw` names every member, the primary first, and lets the client look for the one that
 * accepts writes; `ro` names the replicas first and falls back on the primary. Throws `usage` for `split`, and
 * `operation-failed` where no member holds data.
 */
export function endpointUri(endpoint: Endpoint, members: readonly Place[], options: UriOptions): string {
  if (endpoint === 'split') {
    throw new PgorbitError('usage', 'the endpoint split needs the router, which this release does not have', {
      hint: 'use --endpoint rw for writes and --endpoint ro for reads',
    });
  }
  // A member that is only being made may have no port yet.
  const primaries = members.filter((member) => member.role === 'primary' && member.port > 0);
  const replicas = members.filter((member) => member.role === 'replica' && member.port > 0);
  const hosts = endpoint === 'rw' ? [...primaries, ...replicas] : [...replicas, ...primaries];
  if (hosts.length === 0) throw new PgorbitError('operation-failed', 'the group has no member with data yet', { hint: 'see `pgorbit status`' });
  if (hosts.length === 1) return render(hosts, {}, options);
  if (endpoint === 'rw') return render(hosts, { target_session_attrs: 'read-write' }, options);
  return render(hosts, { target_session_attrs: 'prefer-standby', ...(options.balance === true ? { load_balance_hosts: 'random' } : {}) }, options);
}

/** The same URI with the password left out, for a terminal that others may read. */
export function withoutPassword(uri: string): string {
  return uri.replace(/^(postgresql:\/\/[^:@/]*):[^@]*@/, '$1@');
}

function render(hosts: readonly Place[], parameters: Record<string, string>, options: UriOptions): string {
  const login = `${encodeURIComponent(options.account.user)}:${encodeURIComponent(options.account.password)}`;
  const list = hosts.map((host) => `${host.address.includes(':') ? `[${host.address}]` : host.address}:${host.port}`).join(',');
  const query = Object.entries(parameters).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  return `postgresql://${login}@${list}/${encodeURIComponent(options.database)}${query === '' ? '' : `?${query}`}`;
}
