/**
 * The cluster's own certificate authority. Every agent and the CLI holds a certificate of it, and that certificate is
 * the whole of their authorisation: whoever holds one belongs to the cluster.
 *
 * Keys are EC P-256, signatures ECDSA with SHA-256. The package that encodes certificates is imported only when one
 * is issued, because an agent that never issues should not carry it in memory.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { PgorbitError } from '../../errors.ts';
import { makeKey, publicKeyOf } from './request.ts';

/**
 * What one party shows and checks, all PEM: the authority's certificate (several while the authority is being replaced),
 * its own certificate, its own private key.
 */
export interface Identity {
  ca: string;
  cert: string;
  key: string;
}

/** The authority itself. Whoever has `key` can admit hosts: it lies in the agents' state and with the CLI that made the cluster, mode 0600. */
export interface Authority {
  clusterId: string;
  cert: string;
  key: string;
}

/** The common name of the CLI's certificate, which no host may have. */
export const ADMIN = 'admin';
const SITE_PREFIX = 'site:';

const AUTHORITY_YEARS = 10;
const LEAF_YEARS = 1;
/** Certificates begin a little earlier than now: the hosts' clocks differ. */
const BACKDATE_MS = 60 * 60 * 1000;
const NAME_PREFIX = 'pgorbit cluster ';

/**
 * Makes the authority of the cluster `clusterId`; valid for ten years. One that replaces another needs a name of its own
 * (`mark`): OpenSSL looks for the issuer of a certificate by name, and would try the wrong key.
 */
export async function createAuthority(clusterId: string, mark?: string): Promise<Authority> {
  const made = await generate(`${NAME_PREFIX}${clusterId}${mark === undefined ? '' : ` ${mark}`}`, AUTHORITY_YEARS, [
    { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
  ]);
  return { clusterId, cert: made.cert, key: made.private };
}

/**
 * The certificate of a host's agent: CN and DNS name are the host's name, further names its address and 127.0.0.1, and
 * a URI with the cluster's id. Serves as server and as client; valid for a year.
 * @throws PgorbitError `manifest-invalid` for the name `admin`, which is the CLI's.
 */
export async function issueHost(authority: Authority, of: { host: string; address: string }): Promise<Identity> {
  const key = makeKey();
  return { ca: authority.cert, cert: await certifyHost(authority, of, publicKeyOf(key)), key };
}

/** As issueHost, for a key that somebody else has: the certificate alone, PEM. */
export async function certifyHost(authority: Authority, of: { host: string; address: string }, publicKey: string): Promise<string> {
  if (of.host === ADMIN) {
    throw new PgorbitError('manifest-invalid', `No host can be called "${ADMIN}": that is the name of the CLI's certificate.`, {
      hint: 'Give the host another name in the manifest.',
    });
  }
  const names: AltName[] = [{ type: DNS, value: of.host }, { type: IP, ip: '127.0.0.1' }];
  if (isIP(of.address) === 0) {
    if (of.address !== of.host) names.push({ type: DNS, value: of.address });
  } else if (of.address !== '127.0.0.1') {
    names.push({ type: IP, ip: of.address });
  }
  return certify(authority, of.host, names, true, publicKey);
}

/** The CLI's certificate (`CN=admin`): a client's only, so that nobody can play an agent with it. */
export async function issueAdmin(authority: Authority): Promise<Identity> {
  const key = makeKey();
  return { ca: authority.cert, cert: await certifyAdmin(authority, publicKeyOf(key)), key };
}

/** As issueAdmin, for a key that somebody else has. */
export const certifyAdmin = (authority: Authority, publicKey: string): Promise<string> => certify(authority, ADMIN, [], false, publicKey);

/** The certificate of another site's agents: a client's only, under a name that no host can have, for the few calls between sites. */
export const certifySite = (authority: Authority, cluster: string, publicKey: string): Promise<string> => certify(authority, `${SITE_PREFIX}${cluster}`, [], false, publicKey);

export const isSite = (caller: string): boolean => caller.startsWith(SITE_PREFIX);
/** The cluster that a site's certificate is for. */
export const siteNamed = (caller: string): string => caller.slice(SITE_PREFIX.length);

/** SHA-256 of a certificate (the first of a PEM text), base64url. */
export const fingerprintOf = (cert: string): string => createHash('sha256').update(new X509Certificate(cert).raw).digest('base64url');

/** The certificates of a PEM text, one by one. */
export const certificatesIn = (pem: string): string[] => pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----\n?/g) ?? [];

/** Rebuilds an Authority from its two PEM texts: the cluster's id is in the certificate's name. */
export function authorityFrom(cert: string, key: string): Authority {
  const name = commonName(cert);
  if (!name.startsWith(NAME_PREFIX)) throw new PgorbitError('other-cluster', `The certificate of "${name}" is not one of a pgorbit cluster.`);
  return { clusterId: name.slice(NAME_PREFIX.length).split(' ')[0]!, cert, key };
}

/** The CN of a PEM certificate, or "". */
export function commonName(cert: string): string {
  const line = new X509Certificate(cert).subject.split('\n').find((part) => part.startsWith('CN='));
  return line?.slice(3) ?? '';
}

const DNS = 2;
const URI = 6;
const IP = 7;
type AltName = { type: 2 | 6; value: string } | { type: 7; ip: string };

async function certify(authority: Authority, name: string, altNames: AltName[], server: boolean, publicKey: string): Promise<string> {
  const clusterUri: AltName = { type: URI, value: `urn:pgorbit:cluster:${authority.clusterId}` };
  const made = await generate(
    name,
    LEAF_YEARS,
    [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: server, clientAuth: true },
      { name: 'subjectAltName', altNames: [...altNames, clusterUri] },
    ],
    { authority, publicKey },
  );
  return made.cert;
}

type Extension = NonNullable<NonNullable<Parameters<(typeof import('selfsigned'))['generate']>[1]>['extensions']>[number];

async function generate(name: string, years: number, extensions: Extension[], signed?: { authority: Authority; publicKey: string }): Promise<{ cert: string; private: string }> {
  const { default: selfsigned } = await import('selfsigned');
  const from = new Date(Date.now() - BACKDATE_MS);
  const until = new Date(from);
  until.setFullYear(until.getFullYear() + years);
  return selfsigned.generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: from,
    notAfterDate: until,
    extensions,
    // The private half of `keyPair` has no part in a certificate that the authority signs: any will do.
    ...(signed === undefined ? {} : { ca: { cert: signed.authority.cert, key: signed.authority.key }, keyPair: { publicKey: signed.publicKey, privateKey: makeKey() } }),
  });
}
