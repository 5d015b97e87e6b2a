/**
 * The cluster's authority as its state keeps it, so that whichever agent leads can sign. Pure. While the authority is
 * replaced there are two: first all trust both, then the new one signs, then the old one is dropped.
 */
import { authorityFrom, type Authority } from './ca.ts';

/** The document at AUTHORITY_KEY. */
export interface AuthorityDocument {
  /** Signs now. PEM. */
  cert: string;
  key: string;
  /** Is trusted already, and will sign. */
  next: { cert: string; key: string } | null;
  /** Signed until now, and is still trusted. */
  previous: string | null;
}

/** What an agent and the CLI trust: PEM, the one that signs first. */
export const trusted = (document: AuthorityDocument): string =>
  [document.cert, document.next?.cert, document.previous].filter((cert) => cert !== null && cert !== undefined).map((cert) => `${cert.trimEnd()}\n`).join('');

export const signer = (document: AuthorityDocument): Authority => authorityFrom(document.cert, document.key);

export type RotationStep = 'introduce' | 'switch' | 'drop';

/** What comes next in the replacement of an authority; `introduce` where none is under way. */
export const nextRotationStep = (document: AuthorityDocument): RotationStep => (document.next !== null ? 'switch' : document.previous !== null ? 'drop' : 'introduce');

/** The document after that step. @param fresh the new authority, for `introduce`. */
export function rotate(document: AuthorityDocument, step: RotationStep, fresh: Authority): AuthorityDocument {
  const { cert, key, next } = document;
  if (step === 'introduce') return { ...document, next: { cert: fresh.cert, key: fresh.key } };
  if (step === 'switch' && next !== null) return { ...next, next: null, previous: cert };
  return { cert, key, next: null, previous: null };
}
