/**
 * Who belongs to the cluster: tokens for those who may join, certificates, and where each agent is reached. Every call
 * here is made in the agent that leads, and what it decides is in the state store before it answers.
 */
import { randomBytes } from 'node:crypto';
import type { Calls } from './api.ts';
import { agentOf, type AgentConfig } from './config.ts';
import type { AgentsDocument } from './directory.ts';
import type { ClusterView } from './documents.ts';
import { nextRotationStep, rotate, signer, trusted, type AuthorityDocument } from './identity/authority-document.ts';
import { ADMIN, certifyAdmin, certifyHost, certifySite, createAuthority, isSite, siteNamed, fingerprintOf, type Authority } from './identity/ca.ts';
import { checkRequest, type CertificateRequest } from './identity/request.ts';
import { drawSecret, encodeToken, hashSecret, type Token } from './identity/token.ts';
import { tokenKey, useToken, withToken, type TokensDocument } from './identity/tokens.ts';
import { PgorbitError } from '../errors.ts';
import type { HostSpec } from '../group/model.ts';
import type { EventDraft } from '../observe/event.ts';
import { changeDocument } from '../state/change.ts';
import { AGENTS_KEY, AUTHORITY_KEY, TOKENS_KEY, type StateStore } from '../state/store.ts';

export interface EnrolmentOptions {
  config: AgentConfig;
  store: StateStore;
  view: ClusterView;
  tell: (event: EventDraft) => void;
  /** ms since 1970 */
  now?: () => number;
}

/** As many as a token needs to be answered while some of the agents are away. */
const AGENTS_IN_TOKEN = 5;

export class Enrolment {
  readonly #options: EnrolmentOptions;
  readonly #now: () => number;

  constructor(options: EnrolmentOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Makes a token; an earlier one for the same host is no good any more. */
  async token({ kind, host, ttlMs }: Calls['POST /v1/token']['request']): Promise<Calls['POST /v1/token']['answer']> {
    const { config, store, view } = this.#options;
    const agents = this.#agents().map(({ address, port }) => ({ address, port }));
    const at: HostSpec | null = kind === 'join' ? this.#hostOf(host ?? '') : null;
    if (at !== null && view.agents !== null && Object.hasOwn(view.agents, at.name)) {
      throw new PgorbitError('usage', `host ${at.name} has joined already`, { hint: `where its machine was replaced: \`pgorbit host remove ${at.name}\`, then \`pgorbit host add\`` });
    }
    const token: Token = {
      kind, cluster: config.cluster, name: at?.name ?? randomBytes(4).toString('hex'), address: at?.address ?? '', port: at?.port ?? null,
      agents: agents.slice(0, AGENTS_IN_TOKEN), ca: fingerprintOf((await this.#authority()).cert), secret: drawSecret(),
    };
    const expires = this.#now() + ttlMs;
    await changeDocument<TokensDocument>(store, TOKENS_KEY, (tokens) => withToken(tokens, tokenKey(kind, token.name), { hash: hashSecret(token.secret), expires, used: null }, this.#now()));
    return { token: encodeToken(token), expires: new Date(expires).toISOString() };
  }

  /** A host comes: its token is used up, its key certified, its address known to all. */
  async join({ name, secret, port, request }: Calls['POST /v1/join']['request']): Promise<Calls['POST /v1/join']['answer']> {
    const { store, tell } = this.#options;
    const host = this.#hostOf(name);
    const authority = await this.#use({ kind: 'join', name, secret, request });
    const cert = await certifyHost(signer(authority), { host: name, address: host.address }, request.publicKey);
    await changeDocument<AgentsDocument>(store, AGENTS_KEY, (agents) => ({ ...agents, [name]: { address: host.address, port } }));
    tell({ level: 'info', kind: 'host-joined', message: `host ${name} (${host.address}:${port}) joined the cluster` });
    return { ...this.#cluster(), ca: trusted(authority), cert, agents: [...this.#agents().filter((agent) => agent.host !== name), { host: name, address: host.address, port }] };
  }

  /** A person's command line comes. */
  async login({ name, secret, request }: Calls['POST /v1/login']['request']): Promise<Calls['POST /v1/login']['answer']> {
    const authority = await this.#use({ kind: 'login', name, secret, request });
    this.#options.tell({ level: 'info', kind: 'admin-joined', message: 'another machine may manage the cluster: a login token was used' });
    return { ...this.#cluster(), ca: trusted(authority), cert: await certifyAdmin(signer(authority), request.publicKey), agents: this.#agents() };
  }

  /**
   * Another certificate, for somebody who has one: a host for itself, the CLI for itself and for new hosts of its
   * machine. Who asks may be an agent that passes the call on; whoever holds a certificate belongs to the cluster.
   */
  async certify(request: CertificateRequest): Promise<{ ca: string; cert: string }> {
    checkRequest(request);
    const authority = await this.#authority();
    const cert = request.name === ADMIN
      ? await certifyAdmin(signer(authority), request.publicKey)
      : await certifyHost(signer(authority), { host: request.name, address: this.#hostOf(request.name).address }, request.publicKey);
    return { ca: trusted(authority), cert };
  }

  /** A certificate for another site's agents. @throws `usage` for a name that is none of a site */
  async certifySite(request: CertificateRequest): Promise<{ ca: string; cert: string }> {
    checkRequest(request);
    if (!isSite(request.name)) throw new PgorbitError('usage', `${request.name} is not the name of a site`);
    const authority = await this.#authority();
    return { ca: trusted(authority), cert: await certifySite(signer(authority), siteNamed(request.name), request.publicKey) };
  }

  /** An agent says where it listens. False: ask again, its host is not in force yet. */
  async announce(host: string, { address, port }: { address: string; port: number }): Promise<boolean> {
    const { store, view } = this.#options;
    if (view.cluster === null || !Object.hasOwn(view.cluster.document.spec.hosts, host)) return false;
    await changeDocument<AgentsDocument>(store, AGENTS_KEY, (agents) => {
      const before = agents === null || !Object.hasOwn(agents, host) ? null : agents[host];
      return before?.address === address && before.port === port ? agents : { ...agents, [host]: { address, port } };
    });
    return true;
  }

  /** Forgets a host that has left, and whatever tokens there were for it. */
  async forget(host: string): Promise<void> {
    const without = <T>(document: Record<string, T> | null, key: string): Record<string, T> | null =>
      (document === null || !Object.hasOwn(document, key) ? document : Object.fromEntries(Object.entries(document).filter(([name]) => name !== key)));
    await changeDocument<TokensDocument>(this.#options.store, TOKENS_KEY, (tokens) => without(tokens, tokenKey('join', host)));
    await changeDocument<AgentsDocument>(this.#options.store, AGENTS_KEY, (agents) => without(agents, host));
  }

  /** Keeps the authority that the first `up` made. One that is there stays. */
  async keepAuthority(authority: { cert: string; key: string }): Promise<void> {
    await changeDocument<AuthorityDocument>(this.#options.store, AUTHORITY_KEY, (before) => before ?? { ...authority, next: null, previous: null });
  }

  /** One step of replacing the authority, where `step` is the next one; nothing where it was made already. */
  async rotateAuthority(step: Calls['POST /v1/rotate']['request']['step']): Promise<Calls['POST /v1/rotate']['answer']> {
    const fresh: Authority = step === 'introduce' ? await createAuthority(this.#options.config.clusterId, randomBytes(4).toString('hex')) : { clusterId: '', cert: '', key: '' };
    const after = await changeDocument<AuthorityDocument>(this.#options.store, AUTHORITY_KEY, (before) =>
      (before === null || nextRotationStep(before) !== step ? before : rotate(before, step, fresh)));
    if (after === null) throw noAuthority();
    return { next: nextRotationStep(after), ca: trusted(after) };
  }

  async #use({ kind, name, secret, request }: { kind: Token['kind']; name: string; secret: string; request: CertificateRequest }): Promise<AuthorityDocument> {
    checkRequest(request);
    if (request.name !== (kind === 'join' ? name : ADMIN)) throw new PgorbitError('usage', `the certificate request is for ${request.name}`);
    const authority = await this.#authority();
    await changeDocument<TokensDocument>(this.#options.store, TOKENS_KEY, (tokens) => useToken(tokens, { kind, name, secret, publicKey: request.publicKey }, this.#now()));
    return authority;
  }

  async #authority(): Promise<AuthorityDocument> {
    const found = await this.#options.store.read(AUTHORITY_KEY);
    if (found === null) throw noAuthority();
    return found.value as AuthorityDocument;
  }

  #cluster(): Pick<Calls['POST /v1/join']['answer'], 'clusterId' | 'founders'> {
    return { clusterId: this.#options.config.clusterId, founders: this.#options.config.founders };
  }

  #agents(): Calls['POST /v1/join']['answer']['agents'] {
    const { view, config } = this.#options;
    const known = Object.entries(view.agents ?? {}).map(([host, { address, port }]) => ({ host, address, port }));
    // In its first moments a cluster has not written down where its agents are: this one is there.
    return known.some(({ host }) => host === config.host) ? known : [agentOf(config, config.host), ...known];
  }

  #hostOf(name: string): HostSpec {
    const hosts = this.#options.view.cluster?.document.spec.hosts ?? {};
    const host = Object.hasOwn(hosts, name) ? hosts[name] : undefined;
    if (host !== undefined) return host;
    throw new PgorbitError('no-such-host', `the manifest has no host ${JSON.stringify(name)}`, { hint: `its hosts are: ${Object.keys(hosts).join(', ')}; \`pgorbit host add\` adds one` });
  }
}

const noAuthority = (): PgorbitError =>
  new PgorbitError('state-corrupt', "the cluster's certificate authority is not in its state", { hint: 'run `pgorbit up` where the cluster was made' });
