/** pg_hba.conf of a member: passwords by SCRAM for everyone, replication for one user and from members only. */
import { isIP } from 'node:net';

export interface HbaInput {
  /** The one user that may open replication connections. */
  replicationUser: string;
  /** IP addresses or host names of the group's members and agents. */
  memberAddresses: readonly string[];
  /**
   * Who may connect beyond the members: `samenet` (every subnet that the server itself has an address in), `all`,
   * or CIDR blocks and host names; none where it is empty.
   */
  clients: readonly string[];
}

const KEYWORDS = new Set(['all', 'samehost', 'samenet']);

/** A field that is no keyword and holds no character that ends a field. */
const quote = (word: string): string => (/^[A-Za-z0-9_][A-Za-z0-9_-]*$/.test(word) && !KEYWORDS.has(word.toLowerCase()) && word !== 'replication' ? word : `"${word.replaceAll('"', '""')}"`);

/** An IP address with the mask of one host; names and CIDR blocks as they are. */
export function hbaAddress(address: string): string {
  const family = isIP(address);
  if (family === 0) return /^[A-Za-z0-9_.:/-]+$/.test(address) ? address : `"${address}"`;
  return `${address}/${family === 4 ? 32 : 128}`;
}

/**
 * The whole file. PostgreSQL takes the first line that fits by connection type, database, user and address, and
 * refuses where none does (documentation, "The pg_hba.conf File"); `all` as a database leaves replication out.
 */
export function renderHba(input: HbaInput): string {
  const members = [...new Set(input.memberAddresses.map(hbaAddress))].sort();
  const clients = [...new Set(input.clients.map(hbaAddress))].filter((address) => !members.includes(address));
  const replication = quote(input.replicationUser);
  const rows: string[][] = [
    ['local', 'replication', replication, ''],
    ['local', 'all', 'all', ''],
    ...['127.0.0.1/32', '::1/128', ...members.filter((address) => address !== '127.0.0.1/32' && address !== '::1/128')].flatMap((address) => [
      ['host', 'replication', replication, address],
      ['host', 'all', 'all', address],
    ]),
    ...clients.map((address) => ['host', 'all', 'all', address]),
  ];
  const lines = rows.map((row) => [...row.filter((field) => field !== ''), 'scram-sha-256'].join('\t'));
  return `# Written by pgorbit and overwritten by it.\n${lines.join('\n')}\n`;
}
