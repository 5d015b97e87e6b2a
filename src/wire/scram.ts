/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding, both sides. The server side works from the verifier
 * that PostgreSQL stores (`SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`) and never needs the password.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';
import { malformed } from './buffer.ts';
import { PgorbitError } from '../errors.ts';

export const SCRAM_SHA_256 = 'SCRAM-SHA-256';

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();
const xor = (a: Buffer, b: Buffer): Buffer => Buffer.from(a.map((byte, i) => byte ^ b[i]!));
/** SASLprep's normalisation; PostgreSQL too takes a password that it forbids as it is. */
const prepare = (password: string): string => password.normalize('NFKC');

export interface ScramVerifier {
  iterations: number;
  salt: Buffer;
  storedKey: Buffer;
  serverKey: Buffer;
}

/** Makes a verifier for a password, with PostgreSQL's default of 4096 iterations. */
export function makeVerifier(password: string, salt = randomBytes(16), iterations = 4096): ScramVerifier {
  const salted = pbkdf2Sync(prepare(password), salt, iterations, 32, 'sha256');
  return { iterations, salt, storedKey: sha256(hmac(salted, 'Client Key')), serverKey: hmac(salted, 'Server Key') };
}

/** As in pg_authid.rolpassword. */
export function formatVerifier(verifier: ScramVerifier): string {
  const { iterations, salt, storedKey, serverKey } = verifier;
  return `${SCRAM_SHA_256}$${iterations}:${salt.toString('base64')}$${storedKey.toString('base64')}:${serverKey.toString('base64')}`;
}

export function parseVerifier(text: string): ScramVerifier {
  const match = /^SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$/.exec(text);
  if (!match) throw new PgorbitError('usage', 'a SCRAM verifier is not of the form SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey');
  const [, iterations, salt, storedKey, serverKey] = match;
  return { iterations: Number(iterations), salt: Buffer.from(salt!, 'base64'), storedKey: Buffer.from(storedKey!, 'base64'), serverKey: Buffer.from(serverKey!, 'base64') };
}

/** The client's half. Call `first`, then `final` with the server's first message, then `verify` with its last. */
export class ScramClient {
  readonly #password: string;
  readonly #nonce: string;
  #serverSignature: Buffer | null = null;

  constructor(password: string, nonce = randomBytes(18).toString('base64')) {
    this.#password = prepare(password);
    this.#nonce = nonce;
  }

  first(): string {
    return `n,,n=,r=${this.#nonce}`;
  }

  final(serverFirst: string): string {
    const fields = attributes(serverFirst);
    const { r: nonce, s: salt, i: iterations } = fields;
    if (!nonce?.startsWith(this.#nonce) || nonce.length === this.#nonce.length || !salt || !/^[1-9]\d*$/.test(iterations ?? '')) throw malformed('an invalid SCRAM challenge');
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256');
    const clientKey = hmac(salted, 'Client Key');
    const withoutProof = `c=biws,r=${nonce}`;
    const auth = `n=,r=${this.#nonce},${serverFirst},${withoutProof}`;
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), auth);
    return `${withoutProof},p=${xor(clientKey, hmac(sha256(clientKey), auth)).toString('base64')}`;
  }

  /** Throws when the server does not know the password either: it is not the one it claims to be. */
  verify(serverFinal: string): void {
    const signature = Buffer.from(attributes(serverFinal)['v'] ?? '', 'base64');
    if (!this.#serverSignature || !same(signature, this.#serverSignature)) {
      throw new PgorbitError('unsafe', 'the server could not prove that it knows the password', { hint: 'another server may be listening at this address' });
    }
  }
}

/** The server's half. Without a verifier it goes through the motions and fails at the end, so that names cannot be probed. */
export class ScramServer {
  readonly #verifier: ScramVerifier;
  readonly #known: boolean;
  readonly #nonce: string;
  #clientFirst = '';
  #serverFirst = '';
  #binding = '';

  constructor(verifier: ScramVerifier | null, nonce = randomBytes(18).toString('base64')) {
    this.#known = verifier !== null;
    this.#verifier = verifier ?? { iterations: 4096, salt: randomBytes(16), storedKey: randomBytes(32), serverKey: randomBytes(32) };
    this.#nonce = nonce;
  }

  challenge(clientFirst: string): string {
    const match = /^([ny]),(?:a=[^,]*)?,(n=[^,]*,r=([\x21-\x2b\x2d-\x7e]+))$/.exec(clientFirst);
    if (!match) throw malformed('an invalid SCRAM message');
    this.#clientFirst = match[2]!;
    this.#binding = Buffer.from(clientFirst.slice(0, -match[2]!.length)).toString('base64');
    this.#serverFirst = `r=${match[3]!}${this.#nonce},s=${this.#verifier.salt.toString('base64')},i=${this.#verifier.iterations}`;
    return this.#serverFirst;
  }

  /** The server's last message when the proof is right, else null. */
  finish(clientFinal: string): string | null {
    const fields = attributes(clientFinal);
    const at = clientFinal.lastIndexOf(',p=');
    const nonce = attributes(this.#serverFirst)['r'];
    if (at < 0 || fields['r'] !== nonce || fields['c'] !== this.#binding) return null;
    const auth = `${this.#clientFirst},${this.#serverFirst},${clientFinal.slice(0, at)}`;
    const proof = Buffer.from(fields['p'] ?? '', 'base64');
    if (proof.length !== 32) return null;
    const clientKey = xor(proof, hmac(this.#verifier.storedKey, auth));
    if (!same(sha256(clientKey), this.#verifier.storedKey) || !this.#known) return null;
    return `v=${hmac(this.#verifier.serverKey, auth).toString('base64')}`;
  }
}

function attributes(text: string): Record<string, string> {
  return Object.fromEntries(text.split(',').map((part) => [part.slice(0, 1), part.slice(2)]));
}

function same(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
