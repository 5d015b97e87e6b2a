/** This agent's certificate and key, and the authorities that it trusts: on disk, and as they are used now. */
import { X509Certificate } from 'node:crypto';
import type { Identity } from './identity/ca.ts';
import { writeIdentity } from './identity/files.ts';
import { makeKey, makeRequest, type CertificateRequest } from './identity/request.ts';

/** Certificates are made anew when they have less than this left, ms. */
export const RENEW_MS = 90 * 24 * 3_600_000;

export const leftMs = (cert: string, now: number): number => Date.parse(new X509Certificate(cert).validTo) - now;

export class Credentials {
  readonly #dir: string;
  readonly #onChange: (identity: Identity) => void;
  #identity: Identity;
  /** Changes wait for each other: none writes over what another has just written. */
  #queue: Promise<unknown> = Promise.resolve();

  /** @param onChange is told of every later identity, which lies on disk by then. */
  constructor(dir: string, identity: Identity, onChange: (identity: Identity) => void) {
    this.#dir = dir;
    this.#identity = identity;
    this.#onChange = onChange;
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** Trusts these authorities (PEM) and no others. */
  trust(ca: string): Promise<void> {
    return this.#change(async () => (ca === this.#identity.ca ? null : { ...this.#identity, ca }));
  }

  /** A new key, and a certificate for it that `sign` brings. */
  renew(name: string, sign: (request: CertificateRequest) => Promise<{ ca: string; cert: string }>): Promise<void> {
    return this.#change(async () => {
      const key = makeKey();
      return { ...(await sign(makeRequest(name, key))), key };
    });
  }

  #change(makeNext: () => Promise<Identity | null>): Promise<void> {
    const done = this.#queue.then(() => this.#replace(makeNext));
    this.#queue = done.catch(() => undefined);
    return done;
  }

  async #replace(makeNext: () => Promise<Identity | null>): Promise<void> {
    const identity = await makeNext();
    if (identity === null) return;
    await writeIdentity(this.#dir, identity);
    this.#identity = identity;
    this.#onChange(identity);
  }
}
