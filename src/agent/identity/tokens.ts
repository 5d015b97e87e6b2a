/** The tokens that a cluster has given out, as its state keeps them, and which of them is good. Pure. */
import { createHash } from 'node:crypto';
import { PgorbitError } from '../../errors.ts';
import { isSecret, type Token } from './token.ts';

/** The document at TOKENS_KEY: by `tokenKey`. */
export type TokensDocument = Record<string, TokenEntry>;

export interface TokenEntry {
  /** Of the secret. */
  hash: string;
  /** ms since 1970 */
  expires: number;
  /** When it was used, and for which public key: the same newcomer may ask again when the answer was lost. */
  used: { at: number; key: string } | null;
}

export const tokenKey = (kind: Token['kind'], name: string): string => `${kind}/${name}`;

/** One that is no good any more is remembered for this long, so that it can be said why. ms */
const REMEMBERED_MS = 7 * 24 * 3_600_000;

/** The document with one more token; a host's earlier one is no good any more. */
export function withToken(tokens: TokensDocument | null, key: string, entry: TokenEntry, now: number): TokensDocument {
  const kept = Object.entries(tokens ?? {}).filter(([, old]) => old.expires + REMEMBERED_MS > now);
  return { ...Object.fromEntries(kept), [key]: entry };
}

/**
 * The document in which the token is used up.
 * @throws PgorbitError `token-invalid` for one that is wrong, used or expired; each says which.
 */
export function useToken(tokens: TokensDocument | null, asked: { kind: Token['kind']; name: string; secret: string; publicKey: string }, now: number): TokensDocument {
  const { kind, name } = asked;
  const key = tokenKey(kind, name);
  const entry = tokens !== null && Object.hasOwn(tokens, key) ? tokens[key] : undefined;
  const hint = kind === 'join' ? `\`pgorbit host token ${name}\` makes a new one, where the cluster is managed` : '`pgorbit host admin-token` makes a new one, where the cluster is managed';
  const refused = (why: string): PgorbitError => new PgorbitError('token-invalid', why, { hint });
  if (entry === undefined) throw refused(kind === 'join' ? `no token was made for host ${name}` : 'the cluster knows no such token');
  if (!isSecret(asked.secret, entry.hash)) throw refused('the token is wrong, or a newer one has taken its place');
  const publicKey = createHash('sha256').update(asked.publicKey).digest('base64url');
  if (entry.used !== null && entry.used.key !== publicKey) throw refused(`the token was used already, at ${new Date(entry.used.at).toISOString()}`);
  if (entry.expires <= now) throw refused(`the token expired at ${new Date(entry.expires).toISOString()}`);
  return { ...tokens, [key]: { ...entry, used: entry.used ?? { at: now, key: publicKey } } };
}
