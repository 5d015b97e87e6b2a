import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { type Authority, authorityFrom, commonName, createAuthority, issueAdmin, issueHost } from './ca.ts';
import { readAuthority, readIdentity, writeAuthority, writeIdentity } from './files.ts';

let authority: Authority;
beforeAll(async () => {
  authority = await createAuthority('9f3c');
});

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'pgorbit-identity-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

const years = (certificate: X509Certificate): number => new Date(certificate.validTo).getUTCFullYear() - new Date(certificate.validFrom).getUTCFullYear();

it('makes an authority on EC P-256 for ten years', () => {
  const certificate = new X509Certificate(authority.cert);
  expect(certificate.ca).toBe(true);
  expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
  expect(years(certificate)).toBe(10);
  expect(certificate.verify(certificate.publicKey)).toBe(true);
});

async function names(address: string): Promise<string | undefined> {
  return new X509Certificate((await issueHost(authority, { host: 'h1', address })).cert).subjectAltName;
}

it('issues a host certificate that names the host, its address and the cluster', async () => {
  const { cert, ca } = await issueHost(authority, { host: 'h1', address: '10.1.2.3' });
  const certificate = new X509Certificate(cert);
  expect(ca).toBe(authority.cert);
  expect(commonName(cert)).toBe('h1');
  expect(certificate.subjectAltName).toBe('DNS:h1, IP Address:127.0.0.1, IP Address:10.1.2.3, URI:urn:pgorbit:cluster:9f3c');
  expect(certificate.ca).toBe(false);
  expect(years(certificate)).toBe(1);
  expect(certificate.verify(new X509Certificate(authority.cert).publicKey)).toBe(true);
});

it('names an address that is a DNS name or IPv6, and none twice', async () => {
  expect(await names('db1.example.org')).toContain('DNS:db1.example.org');
  expect(await names('fd00::5')).toContain('IP Address:FD00:0:0:0:0:0:0:5');
  expect(await names('127.0.0.1')).toBe('DNS:h1, IP Address:127.0.0.1, URI:urn:pgorbit:cluster:9f3c');
});

it('gives the CLI its name, and no host', async () => {
  const admin = await issueAdmin(authority);
  expect(commonName(admin.cert)).toBe('admin');
  await expect(issueHost(authority, { host: 'admin', address: '127.0.0.1' })).rejects.toMatchObject({ code: 'manifest-invalid' });
});

it('keeps identity and authority in files that only their owner reads', async () => {
  const dir = join(await folder(), 'admin');
  const admin = await issueAdmin(authority);
  await writeIdentity(dir, admin);
  await writeAuthority(dir, authority);
  expect(await readIdentity(dir)).toEqual(admin);
  expect(await readAuthority(dir)).toEqual(authority);
  const modes = await Promise.all(['', 'ca.crt', 'ca.key', 'tls.crt', 'tls.key'].map(async (name) => (await stat(join(dir, name))).mode & 0o777));
  expect(modes).toEqual([0o700, 0o600, 0o600, 0o600, 0o600]);
});

it('issues further certificates from an authority that was read back', async () => {
  const again = authorityFrom(authority.cert, authority.key);
  expect(again.clusterId).toBe('9f3c');
  const { cert } = await issueHost(again, { host: 'h2', address: '127.0.0.1' });
  expect(new X509Certificate(cert).checkIssued(new X509Certificate(authority.cert))).toBe(true);
});

it('says where an identity was looked for', async () => {
  const dir = await folder();
  await expect(readIdentity(dir)).rejects.toMatchObject({ code: 'no-such-cluster', message: expect.stringContaining(dir) });
});
