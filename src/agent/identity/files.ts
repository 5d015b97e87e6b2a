/**
 * Identities on disk, mode 0600: `ca.crt`, `tls.crt` and `tls.key` in one folder, and `ca.key` beside them where the
 * authority lives (<home>/<cluster>/admin).
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, PgorbitError } from '../../errors.ts';
import { writeDurably } from '../../durable.ts';
import { type Authority, authorityFrom, type Identity } from './ca.ts';

const CA_CERT = 'ca.crt';
const CA_KEY = 'ca.key';
const CERT = 'tls.crt';
const KEY = 'tls.key';

/** Writes the three files, making the folder; an identity that is there is replaced, file by file. */
export async function writeIdentity(dir: string, identity: Identity): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await writeDurably(join(dir, CA_CERT), identity.ca);
  await writeDurably(join(dir, KEY), identity.key);
  await writeDurably(join(dir, CERT), identity.cert);
}

/** @throws PgorbitError `no-such-cluster` when there is none, `permission` when it may not be read. */
export async function readIdentity(dir: string): Promise<Identity> {
  const [ca, cert, key] = await Promise.all([CA_CERT, CERT, KEY].map((name) => readPem(dir, name)));
  return { ca: ca!, cert: cert!, key: key! };
}

/** Writes `ca.crt` and `ca.key`. */
export async function writeAuthority(dir: string, authority: Authority): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await writeDurably(join(dir, CA_KEY), authority.key);
  await writeDurably(join(dir, CA_CERT), authority.cert);
}

/** @throws PgorbitError `no-such-cluster` when there is none, `permission` when it may not be read. */
export async function readAuthority(dir: string): Promise<Authority> {
  return authorityFrom(await readPem(dir, CA_CERT), await readPem(dir, CA_KEY));
}

async function readPem(dir: string, name: string): Promise<string> {
  try {
    return await readFile(join(dir, name), 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'EACCES') {
      throw new PgorbitError('permission', `${join(dir, name)} may not be read by this user.`, {
        hint: 'Run pgorbit as the user who made the cluster.',
        cause: error,
      });
    }
    if (errnoOf(error) !== 'ENOENT') throw error;
    throw new PgorbitError('no-such-cluster', `There is no ${name} in ${dir}.`, {
      hint: 'Check PGORBIT_HOME and the name of the cluster, and run this where the cluster was made.',
      cause: error,
    });
  }
}
