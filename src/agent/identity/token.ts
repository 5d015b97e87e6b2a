/**
 * Tokens: what a person carries to another machine so that it may join the cluster as a host, or so that the command
 * line there may. Good once and for a short time. The cluster keeps a hash of the secret only (tokens.ts).
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { PgorbitError } from '../../errors.ts';

export interface Token {
  kind: 'join' | 'login';
  cluster: string;
  /** The host that joins; for a login the token's own name. */
  name: string;
  /** Of the host that joins: the address that the manifest gives it, and its agent's port (null: it chooses one). */
  address: string;
  port: number | null;
  /** Agents that can be asked. */
  agents: { address: string; port: number }[];
  /** SHA-256 of the authority's certificate, base64url: how the newcomer knows that it talks to the right cluster. */
  ca: string;
  /** 256 bits, base64url. */
  secret: string;
}

const PREFIX = 'pgorbit-';
/** So that a token which was not copied as a whole is told from one that is wrong. */
const CHECK_LENGTH = 6;

export const drawSecret = (): string => randomBytes(32).toString('base64url');
export const hashSecret = (secret: string): string => createHash('sha256').update(secret).digest('base64url');

export function isSecret(secret: string, hash: string): boolean {
  const [given, known] = [Buffer.from(hashSecret(secret)), Buffer.from(hash)];
  return given.length === known.length && timingSafeEqual(given, known);
}

/** One word of letters, digits, `-` and `_`. */
export function encodeToken(token: Token): string {
  const { kind, cluster, name, address, port, agents, ca, secret } = token;
  const body = Buffer.from(JSON.stringify([cluster, name, address, port, agents.map((agent) => [agent.address, agent.port]), ca, secret])).toString('base64url');
  return `${PREFIX}${kind}-${body}${checkOf(kind, body)}`;
}

/** @throws PgorbitError `token-invalid` for what is no token of this kind, or not a whole one. */
export function decodeToken(text: string, kind: Token['kind']): Token {
  const match = /^pgorbit-(join|login)-([A-Za-z0-9_-]+)$/.exec(text.trim());
  if (match === null) throw invalid('this is no token of pgorbit', hintFor(kind));
  const [, found, rest] = match as unknown as [string, Token['kind'], string];
  const body = rest.slice(0, -CHECK_LENGTH);
  if (rest.slice(-CHECK_LENGTH) !== checkOf(found, body)) throw invalid('the token is not whole, or was changed', 'copy it again, from `pgorbit-` to its end');
  if (found !== kind) throw invalid(`this token is for \`${COMMAND[found]}\``, hintFor(kind));
  try {
    const [cluster, name, address, port, agents, ca, secret] = JSON.parse(Buffer.from(body, 'base64url').toString('utf8')) as
      [string, string, string, number | null, [string, number][], string, string];
    return { kind, cluster, name, address, port, agents: agents.map(([at, on]) => ({ address: at, port: on })), ca, secret };
  } catch (cause) {
    throw new PgorbitError('token-invalid', 'the token was made by another version of pgorbit', { hint: 'run the same version on every host', cause });
  }
}

const COMMAND = { join: 'pgorbit agent --join', login: 'pgorbit login' } as const;
const hintFor = (kind: Token['kind']): string => (kind === 'join' ? '`pgorbit host add` and `pgorbit host token` make one' : '`pgorbit host admin-token` makes one');
const checkOf = (kind: string, body: string): string => createHash('sha256').update(`${kind}-${body}`).digest('base64url').slice(0, CHECK_LENGTH);
const invalid = (message: string, hint: string): PgorbitError => new PgorbitError('token-invalid', message, { hint });
