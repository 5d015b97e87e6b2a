/**
 * A certificate request: a host makes its key pair itself, so that the private key never leaves it, and proves to
 * whoever signs that it has the private key. It is what PKCS #10 is for, as JSON between pgorbit's own programs.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { PgorbitError } from '../../errors.ts';

export interface CertificateRequest {
  /** Who asks: a host's name, or `admin`. */
  name: string;
  /** PEM (SubjectPublicKeyInfo), EC P-256. */
  publicKey: string;
  /** ECDSA with SHA-256 over the two above, base64url: only the owner of the private key can make it. */
  signature: string;
}

/** A new private key, EC P-256, as PEM (PKCS #8). */
export function makeKey(): string {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

export function makeRequest(name: string, key: string): CertificateRequest {
  const publicKey = publicKeyOf(key);
  return { name, publicKey, signature: sign('sha256', signed(name, publicKey), createPrivateKey(key)).toString('base64url') };
}

/** The public half of a private key, both PEM. */
export const publicKeyOf = (key: string): string => createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();

/** @throws PgorbitError `usage` for a request that is none, or whose sender does not have the private key. */
export function checkRequest(request: CertificateRequest): void {
  let sound = false;
  try {
    const key = createPublicKey(request.publicKey);
    const curve = key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
    sound = curve && verify('sha256', signed(request.name, request.publicKey), key, Buffer.from(request.signature, 'base64url'));
  } catch {
    // Text that is no key is as good as a wrong one.
  }
  if (!sound) throw new PgorbitError('usage', `the certificate request of ${request.name} is not signed by its own key`);
}

const signed = (name: string, publicKey: string): Buffer => Buffer.from(`pgorbit certificate request\n${name}\n${publicKey}`);
