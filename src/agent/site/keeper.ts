/**
 * Keeps this cluster's part in a pair of sites, in the agent that leads: asks the other site, decides, and writes what is
 * decided by compare-and-set. Nobody else changes the document but for what a person asks.
 */
import type { AgentAddress, AgentConfig } from '../config.ts';
import { leftMs, RENEW_MS } from '../credentials.ts';
import type { ClusterView } from '../documents.ts';
import { certificatesIn } from '../identity/ca.ts';
import { makeKey, makeRequest } from '../identity/request.ts';
import { isSilence, PeerLine } from './peer-line.ts';
import type { Seen } from '../../group/decide/context.ts';
import type { SiteView } from '../../group/decide/site-view.ts';
import { Bell, type Lifecycle } from '../../lifecycle.ts';
import type { EventDraft } from '../../observe/event.ts';
import type { Log } from '../../observe/log.ts';
import { groupAnswer, type SiteAnswer } from '../../site/answer.ts';
import { decideSite, type GroupFacts, type Timers } from '../../site/decide.ts';
import { addressesOf, siteFollowerName, type SiteDocument } from '../../site/document.ts';
import { factsOf } from '../../site/facts.ts';
import type { Ask } from '../../site/request.ts';
import { isFresh, siteView, type Heard } from '../../site/view.ts';
import { PgorbitError, toReport } from '../../errors.ts';
import { SITE_KEY, type StateStore } from '../../state/store.ts';

/** Between questions to the other site, and while one of the two hands over. */
const POLL_MS = 500;
const BUSY_POLL_MS = 100;
const DECIDE_MS = 500;

export interface KeeperOptions {
  config: AgentConfig;
  store: StateStore;
  view: ClusterView;
  seen: (group: string) => Readonly<Record<string, Seen>>;
  /** What the decisions about groups are made from has changed. */
  onNews: () => void;
  agents: () => AgentAddress[];
  /** The authorities of this cluster, PEM. */
  ca: () => string;
  tell: (event: EventDraft) => void;
  log: Log;
  /** ms, monotonic */
  now: () => number;
}

export class SiteKeeper {
  readonly line = new PeerLine();
  readonly #options: KeeperOptions;
  readonly #bell = new Bell();
  readonly #decideBell = new Bell();
  #heard: Heard | null = null;
  #timers: Timers = {};
  /** What was said last of whether the other site answers. */
  #silent: boolean | null = null;
  /** What the other site refused last: said once. */
  #refused = '';

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  start(life: Lifecycle): void {
    const { store, view } = this.#options;
    life.run('asking the other site', async (signal) => {
      while (!signal.aborted) {
        const site = view.site?.document;
        if (site !== undefined && store.leadership().self) await this.#poll(site, signal);
        await this.#bell.wait(this.#rest(POLL_MS), signal);
      }
    });
    life.run('deciding about the site', async (signal) => {
      while (!signal.aborted) {
        if (view.site !== null && store.leadership().self) await this.#decide();
        await this.#decideBell.wait(this.#rest(DECIDE_MS), signal);
      }
    });
  }

  /** Documents or the leadership changed: there may be something to do where there was nothing. */
  look(): void {
    this.#bell.ring();
    this.#decideBell.ring();
  }

  /** ms; without another site, or in an agent that does not lead, there is nothing to do until look(). */
  #rest(ms: number): number {
    const { store, view } = this.#options;
    if (view.site === null || !store.leadership().self) return Infinity;
    return this.#busy() ? BUSY_POLL_MS : ms;
  }

  /** Another agent leads, or this one anew: what was heard before says nothing. */
  forget(): void {
    this.#heard = null;
    this.#timers = {};
    this.#silent = null;
    this.look();
  }

  close(): void {
    this.line.close();
  }

  get site(): SiteDocument | null {
    return this.#options.view.site?.document ?? null;
  }

  /** The newest answer of the present other site; null: none yet. */
  get heard(): Heard | null {
    return this.#heard?.answer.clusterId === this.site?.peer.clusterId ? this.#heard : null;
  }

  /** For the decision about a group; null where the cluster is on its own. */
  viewOf(group: string): SiteView | null {
    const { site } = this;
    return site === null ? null : siteView(group, this.#options.config.cluster, site, this.heard, this.#options.now());
  }

  /** What this site tells the cluster with the id `from`. @throws `state-conflict` while it is only being made */
  answerTo(from: string): SiteAnswer {
    const { view, config, seen, now } = this.#options;
    if (view.cluster === null) throw new PgorbitError('state-conflict', `cluster ${config.cluster} is only being made`);
    const { site } = this;
    const known = site?.peer.clusterId === from;
    return {
      cluster: config.cluster, clusterId: config.clusterId, ...this.reachedAt(),
      site: site === null || !known ? null : { role: site.role, epoch: site.epoch, handOver: site.handOver, declined: site.declined },
      groups: known ? Object.fromEntries([...view.groups].map(([name, { record }]) => [name, groupAnswer(record, seen(name), now())])) : {},
    };
  }

  /** Where this site's agents are, and what proves who they are. */
  reachedAt(): Pick<SiteAnswer, 'agents' | 'addresses' | 'ca'> {
    const { view, agents, ca } = this.#options;
    return { agents: agents().map(({ host, address, port }) => ({ host, address, port })), addresses: addressesOf(view.cluster?.document.spec.hosts ?? {}), ca: ca() };
  }

  /** For a person's request. */
  ask(own: SiteDocument): Ask {
    const { config, view, now } = this.#options;
    const groups = Object.fromEntries(Object.entries(this.#facts()).map(([name, facts]) => {
      const record = view.groups.get(name)?.record;
      const busy = record === undefined ? 'it is only being made' : record.promotion !== null ? `${record.promotion.candidate} is being promoted` : record.operation === null ? null : `a ${record.operation.kind} is under way`;
      return [name, { ...facts, busy }];
    }));
    const { heard } = this;
    return { own, self: { cluster: config.cluster, clusterId: config.clusterId }, answer: isFresh(heard, now()) ? heard.answer : null, groups };
  }

  /** Writes what a person asked for. @throws `state-conflict` */
  async write(revision: number, document: SiteDocument | null): Promise<void> {
    const written = await this.#options.store.compareAndSet(SITE_KEY, revision, document);
    if (!written.ok) throw new PgorbitError('state-conflict', 'the site has just changed', { hint: 'look at `pgorbit status`, and try again' });
    this.#options.onNews();
    this.#bell.ring();
  }

  #busy(): boolean {
    return this.site?.handOver != null || this.heard?.answer.site?.handOver != null;
  }

  #facts(): Record<string, GroupFacts> {
    const { view, seen, now } = this.#options;
    const groups = Object.keys(view.cluster?.document.spec.groups ?? {});
    return Object.fromEntries(groups.map((name) => [name, factsOf(view.groups.get(name)?.record, seen(name), now())]));
  }

  async #poll(site: SiteDocument, signal: AbortSignal): Promise<void> {
    const { config, now, log, onNews } = this.#options;
    const at = now();
    try {
      const answer = await this.line.call(site.peer, 'GET /v1/site', { from: config.clusterId }, { signal });
      if (answer.clusterId !== site.peer.clusterId) throw new PgorbitError('other-cluster', `what answers for ${site.peer.cluster} is another cluster (id ${answer.clusterId})`);
      const before = this.heard === null ? '' : JSON.stringify(this.heard.answer.groups);
      this.#heard = { answer, at };
      this.#refused = '';
      this.#say(site, false);
      if (JSON.stringify(answer.groups) !== before) onNews();
      await this.#keepPeer(site, answer, signal);
    } catch (error) {
      if (signal.aborted) return;
      log.debug({ err: error }, 'the other site does not answer');
      if (!isFresh(this.heard, now())) this.#say(site, true);
      const refused = isSilence(error) ? '' : toReport(error).message;
      if (refused !== '' && refused !== this.#refused) log.warn({ err: error }, 'the other site could not be asked');
      this.#refused = refused;
    }
  }

  #say({ peer }: SiteDocument, silent: boolean): void {
    if (this.#silent === silent) return;
    const first = this.#silent === null;
    this.#silent = silent;
    if (silent) this.#options.tell({ level: 'warning', kind: 'site-silent', message: `the other site, ${peer.cluster}, does not answer` });
    else if (!first) this.#options.tell({ level: 'info', kind: 'site-answers', message: `the other site, ${peer.cluster}, answers again` });
  }

  /** Follows the other site's agents and authorities, and shows a certificate that they take. */
  async #keepPeer(site: SiteDocument, answer: SiteAnswer, signal: AbortSignal): Promise<void> {
    const { config, view, store, log } = this.#options;
    const { agents, addresses, ca } = answer;
    const others = authoritiesIn(ca) !== authoritiesIn(site.peer.ca);
    const same = !others && JSON.stringify([agents, addresses]) === JSON.stringify([site.peer.agents, site.peer.addresses]);
    const renew = others || leftMs(site.peer.cert, Date.now()) < RENEW_MS;
    if (same && !renew) return;
    const current = view.site;
    if (current === null || current.document !== site || agents.length === 0) return;
    let { cert, key } = site.peer;
    if (renew) {
      key = makeKey();
      ({ cert } = await this.line.call(site.peer, 'POST /v1/site/certificate', { request: makeRequest(siteFollowerName(config.cluster), key) }, { signal }));
    }
    log.info({ agents, addresses, renewed: renew }, 'the other site is reached in another way');
    await store.compareAndSet(SITE_KEY, current.revision, { ...site, peer: { ...site.peer, agents, addresses, ca, cert, key } });
  }

  async #decide(): Promise<void> {
    const { config, view, store, now, tell, log, onNews } = this.#options;
    const current = view.site;
    if (current === null || view.cluster === null || view.cluster.document.stopped) return;
    const { document, timers, events } = decideSite({
      own: current.document, self: config.clusterId, answer: this.heard?.answer ?? null, groups: this.#facts(), now: now(), timers: this.#timers,
    });
    this.#timers = timers;
    if (document === current.document) return;
    try {
      const written = await store.compareAndSet(SITE_KEY, current.revision, document);
      if (!written.ok) return;
      for (const event of events) tell(event);
      onNews();
      this.#bell.ring();
    } catch (error) {
      log.warn({ err: error }, 'the change of the site could not be written');
    }
  }
}

/** The same for the same authorities, however their text ends. */
const authoritiesIn = (pem: string): string => certificatesIn(pem).map((one) => one.trim()).join();
