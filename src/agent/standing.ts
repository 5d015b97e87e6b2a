/**
 * An agent's standing in its cluster: its certificate, which agents it knows, and that they know where it is. Keeps
 * agent.json in step, so that the agent finds the others again after a restart.
 */
import { X509Certificate } from 'node:crypto';
import { agentConfigFile, agentOf, type AgentAddress, type AgentConfig } from './config.ts';
import { Credentials, leftMs, RENEW_MS } from './credentials.ts';
import { Directory } from './directory.ts';
import type { ClusterView } from './documents.ts';
import type { Enrolment } from './enrolment.ts';
import { trusted } from './identity/authority-document.ts';
import { certificatesIn, fingerprintOf, type Identity } from './identity/ca.ts';
import type { CertificateRequest } from './identity/request.ts';
import { leaderless } from './leader.ts';
import { PgorbitError } from '../errors.ts';
import { writeDurably } from '../durable.ts';
import { Bell, type Lifecycle } from '../lifecycle.ts';
import type { Log } from '../observe/log.ts';
import type { StateStore } from '../state/store.ts';

const ANNOUNCE_EVERY_MS = 1_000;
const LOOK_AT_CERTIFICATE_MS = 3_600_000;

export interface StandingOptions {
  /** The agent's folder. */
  dir: string;
  config: AgentConfig;
  identity: Identity;
  store: Pick<StateStore, 'leadership'>;
  log: Log;
  /** Another list of agents, or another identity, is in force. */
  onAgents: (agents: AgentAddress[]) => void;
  onIdentity: (identity: Identity) => void;
}

export class Standing {
  readonly directory: Directory;
  readonly credentials: Credentials;
  readonly #options: StandingOptions;
  readonly #self: AgentAddress;
  #view: ClusterView | null = null;
  #enrolment: Enrolment | null = null;
  /** Rings when the documents changed. */
  readonly #news = new Bell();
  /** One file after the other: the last one written is the newest. */
  #writing: Promise<void> = Promise.resolve();

  constructor(options: StandingOptions) {
    this.#options = options;
    this.#self = agentOf(options.config, options.config.host);
    this.directory = new Directory(options.config.agents, options.identity, options.onAgents);
    this.credentials = new Credentials(options.dir, options.identity, (identity) => {
      this.directory.setIdentity(identity);
      options.onIdentity(identity);
    });
  }

  start(life: Lifecycle, view: ClusterView, enrolment: Enrolment): void {
    this.#view = view;
    this.#enrolment = enrolment;
    life.every(ANNOUNCE_EVERY_MS, 'saying where this agent is', () => this.#announce(life.signal), this.#news);
    life.every(LOOK_AT_CERTIFICATE_MS, 'looking at the certificate', async () => {
      if (leftMs(this.credentials.identity.cert, Date.now()) < RENEW_MS) await this.renew();
    });
    this.changed(life);
  }

  /** The documents changed. */
  changed(life: Lifecycle): void {
    const view = this.#view;
    if (view === null) return;
    this.#news.ring();
    const before = this.directory.list();
    this.directory.update(view.agents, view.cluster === null ? null : Object.keys(view.cluster.document.spec.hosts), this.#self);
    const agents = this.directory.list();
    if (agents !== before) {
      const text = `${JSON.stringify({ ...this.#options.config, agents }, null, 2)}\n`;
      this.#writing = this.#writing.then(() => writeDurably(agentConfigFile(this.#options.dir), text));
      life.run('writing agent.json', () => this.#writing);
    }
    const ca = view.authority === null ? null : trusted(view.authority);
    if (ca !== null && ca !== this.credentials.identity.ca) life.run('trusting the authorities', () => this.credentials.trust(ca));
  }

  /** A new key and certificate, used from the next connection on. */
  async renew(): Promise<{ validTo: string; issuer: string }> {
    await this.credentials.renew(this.#self.host, (request) => this.#certify(request));
    const { cert, ca } = this.credentials.identity;
    const certificate = new X509Certificate(cert);
    const issuer = certificatesIn(ca).find((one) => certificate.checkIssued(new X509Certificate(one)) && certificate.verify(new X509Certificate(one).publicKey));
    this.#options.log.info({ validTo: certificate.validTo }, 'this agent has a new certificate');
    return { validTo: new Date(certificate.validTo).toISOString(), issuer: issuer === undefined ? '' : fingerprintOf(issuer) };
  }

  async #certify(request: CertificateRequest): Promise<{ ca: string; cert: string }> {
    const { self, leader } = this.#options.store.leadership();
    if (self && this.#enrolment !== null) return this.#enrolment.certify(request);
    if (leader === null) throw leaderless();
    return this.directory.clientOf(leader).call('POST /v1/certificate', { request });
  }

  /**
   * Until the document says it: the leader may be any of those that are known, and may not know this host yet.
   * @returns false: it says it.
   */
  async #announce(signal: AbortSignal): Promise<boolean> {
    const { host, address, port } = this.#self;
    const known = this.#view?.agents?.[host];
    if (known?.address === address && known.port === port) return false;
    const { self, leader } = this.#options.store.leadership();
    if (self) {
      await this.#enrolment?.announce(host, { address, port });
      return true;
    }
    const others = this.directory.list().map((agent) => agent.host).filter((other) => other !== host);
    for (const other of leader !== null && others.includes(leader) ? [leader] : others) {
      try {
        await this.directory.clientOf(other).call('POST /v1/announce', { address, port }, { signal });
        return true;
      } catch (error) {
        if (signal.aborted) return true;
        // It does not lead, or is not there: the next one is asked, and all of them again in a second.
        if (!(error instanceof PgorbitError)) throw error;
      }
    }
    return true;
  }
}
