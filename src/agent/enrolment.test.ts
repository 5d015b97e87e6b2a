import { X509Certificate } from 'node:crypto';
import { beforeEach, expect, it } from 'vitest';
import type { AgentsDocument } from './directory.ts';
import type { ClusterView } from './documents.ts';
import { Enrolment } from './enrolment.ts';
import { trusted, type AuthorityDocument } from './identity/authority-document.ts';
import { certificatesIn, createAuthority, fingerprintOf } from './identity/ca.ts';
import { makeKey, makeRequest, publicKeyOf } from './identity/request.ts';
import { decodeToken, type Token } from './identity/token.ts';
import type { CasResult, Versioned } from '../state/store.ts';

/** The documents of a state store in memory. */
class Documents {
  readonly all = new Map<string, Versioned>();
  #revision = 0;

  async read(key: string): Promise<Versioned | null> {
    return this.all.get(key) ?? null;
  }

  async compareAndSet(key: string, revision: number, value: unknown): Promise<CasResult> {
    const current = this.all.get(key) ?? null;
    if ((current?.revision ?? 0) !== revision) return { ok: false, current };
    this.#revision += 1;
    this.all.set(key, { key, revision: this.#revision, value: structuredClone(value) });
    return { ok: true, revision: this.#revision };
  }

  value<T>(key: string): T {
    return this.all.get(key)?.value as T;
  }
}

let documents: Documents;
let enrolment: Enrolment;
let now: number;
const told: string[] = [];

beforeEach(async () => {
  documents = new Documents();
  now = 1_000_000;
  const hosts = { h1: { name: 'h1', address: '10.0.0.1', port: null }, h2: { name: 'h2', address: '10.0.0.2', port: null } };
  const view = {
    cluster: { document: { spec: { hosts } } },
    get agents() {
      return documents.value<AgentsDocument | undefined>('agents') ?? null;
    },
  } as unknown as ClusterView;
  const config = { format: 1 as const, cluster: 'shop', clusterId: 'id', host: 'h1', agents: [], founders: ['h1'] };
  enrolment = new Enrolment({ config, store: documents as never, view, tell: (event) => told.push(event.kind), now: () => now });
  await enrolment.keepAuthority(await createAuthority('id'));
  await enrolment.announce('h1', { address: '10.0.0.1', port: 7400 });
});

const invite = async (): Promise<Token> => decodeToken((await enrolment.token({ kind: 'join', host: 'h2', ttlMs: 60_000 })).token, 'join');
const refusal = (code: string, message: string): object => expect.objectContaining({ code, message: expect.stringContaining(message) });

it('admits a host by its token: a certificate for its own key, and its address for all', async () => {
  const token = await invite();
  expect(token).toMatchObject({ cluster: 'shop', name: 'h2', address: '10.0.0.2', agents: [{ address: '10.0.0.1', port: 7400 }] });
  expect(JSON.stringify([...documents.all.values()])).not.toContain(token.secret);
  const key = makeKey();
  const answer = await enrolment.join({ name: 'h2', secret: token.secret, port: 7401, request: makeRequest('h2', key) });
  const certificate = new X509Certificate(answer.cert);
  expect(certificate.publicKey.export({ type: 'spki', format: 'pem' })).toBe(publicKeyOf(key));
  expect(certificate.subjectAltName).toContain('DNS:h2, IP Address:127.0.0.1, IP Address:10.0.0.2');
  expect(certificate.verify(new X509Certificate(answer.ca).publicKey)).toBe(true);
  expect(fingerprintOf(answer.ca)).toBe(token.ca);
  expect(answer.agents).toEqual([{ host: 'h1', address: '10.0.0.1', port: 7400 }, { host: 'h2', address: '10.0.0.2', port: 7401 }]);
  expect(documents.value('agents')).toEqual({ h1: { address: '10.0.0.1', port: 7400 }, h2: { address: '10.0.0.2', port: 7401 } });
  expect(told).toContain('host-joined');
  await expect(enrolment.join({ name: 'h2', secret: token.secret, port: 7401, request: makeRequest('h2', makeKey()) })).rejects.toEqual(refusal('token-invalid', 'used already'));
  await expect(enrolment.token({ kind: 'join', host: 'h2', ttlMs: 1 })).rejects.toEqual(refusal('usage', 'has joined already'));
});

it('gives nothing for a token that has expired, to a key that is not the sender\'s, or to a host that is not in the manifest', async () => {
  const { secret } = await invite();
  const request = makeRequest('h2', makeKey());
  await expect(enrolment.join({ name: 'h2', secret, port: 1, request: { ...request, publicKey: publicKeyOf(makeKey()) } })).rejects.toEqual(refusal('usage', 'not signed by its own key'));
  await expect(enrolment.join({ name: 'h2', secret, port: 1, request: makeRequest('h1', makeKey()) })).rejects.toEqual(refusal('usage', 'request is for h1'));
  await expect(enrolment.join({ name: 'h9', secret, port: 1, request })).rejects.toEqual(refusal('no-such-host', 'h9'));
  now += 60_000;
  await expect(enrolment.join({ name: 'h2', secret, port: 1, request })).rejects.toEqual(refusal('token-invalid', 'expired'));
  expect(documents.value<AgentsDocument>('agents')).not.toHaveProperty('h2');
});

it('gives a person\'s command line a certificate that no agent can use', async () => {
  const { token } = await enrolment.token({ kind: 'login', host: null, ttlMs: 60_000 });
  const { name, secret } = decodeToken(token, 'login');
  const { cert } = await enrolment.login({ name, secret, request: makeRequest('admin', makeKey()) });
  expect(new X509Certificate(cert).subject).toBe('CN=admin');
  expect(new X509Certificate(cert).keyUsage).not.toContain('1.3.6.1.5.5.7.3.1');
});

it('takes note of where agents are once the manifest names them, and forgets who left', async () => {
  expect(await enrolment.announce('h3', { address: '10.0.0.3', port: 1 })).toBe(false);
  expect(await enrolment.announce('h1', { address: '10.0.0.1', port: 7500 })).toBe(true);
  await invite();
  await enrolment.forget('h2');
  await enrolment.forget('h1');
  expect([documents.value('agents'), documents.value('tokens')]).toEqual([{}, {}]);
});

it('replaces the authority in steps that may each come twice', async () => {
  const before = documents.value<AuthorityDocument>('ca').cert;
  expect((await enrolment.rotateAuthority('introduce')).next).toBe('switch');
  const { ca } = await enrolment.rotateAuthority('introduce');
  expect(certificatesIn(ca)).toHaveLength(2);
  await enrolment.rotateAuthority('switch');
  await enrolment.rotateAuthority('switch');
  const { cert, ca: both } = await enrolment.certify(makeRequest('h1', makeKey()));
  const after = documents.value<AuthorityDocument>('ca').cert;
  expect(certificatesIn(both)).toHaveLength(2);
  expect(new X509Certificate(cert).checkIssued(new X509Certificate(after))).toBe(true);
  // By name, too: OpenSSL would otherwise take the wrong one of the two.
  expect(new X509Certificate(cert).checkIssued(new X509Certificate(before))).toBe(false);
  await enrolment.rotateAuthority('drop');
  expect(trusted(documents.value<AuthorityDocument>('ca'))).toBe(`${after.trimEnd()}\n`);
});
