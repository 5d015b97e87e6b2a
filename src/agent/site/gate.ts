/**
 * What an agent asks the other site before it lets a primary start, or go on after its own restart: this site may have
 * been given up meanwhile. An agent that leads nobody and follows nobody asks from time to time, as its documents may be old.
 */
import type { ClusterView } from '../documents.ts';
import { isSilence, PeerLine } from './peer-line.ts';
import type { StateStore } from '../../state/store.ts';
import { sleep, type Lifecycle } from '../../lifecycle.ts';
import type { Log } from '../../observe/log.ts';

/** How long the other site is waited for, and how long each of its agents: without it this one goes on. ms */
const ASK_MS = 3_000;
const CALL_MS = 1_000;
const RETRY_MS = 300;
const LOOK_MS = 2_000;

export interface GateOptions {
  clusterId: string;
  view: ClusterView;
  store: Pick<StateStore, 'leadership'>;
  /** The answer has changed. */
  onChange: () => void;
  log: Log;
}

export class SiteGate {
  readonly #options: GateOptions;
  readonly #line = new PeerLine();
  /** The newest epoch in which the other site, the cluster of this id, is known to be the primary one. */
  #there = { clusterId: '', epoch: 0 };

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** The other site is the primary one of a later epoch than this one's documents know of. */
  superseded(): boolean {
    const site = this.#options.view.site?.document;
    return site !== undefined && site.role === 'primary' && this.#there.clusterId === site.peer.clusterId && this.#there.epoch > site.epoch;
  }

  /** Returns when it is known that this site may go on, or nobody there answers; and else when the documents say it, too. */
  async pass(signal: AbortSignal): Promise<void> {
    const end = performance.now() + ASK_MS;
    while (!signal.aborted && !(await this.#ask(signal)) && performance.now() < end) await sleep(RETRY_MS, signal);
    while (this.superseded() && !signal.aborted) await sleep(RETRY_MS, signal);
  }

  watch(life: Lifecycle): void {
    life.every(LOOK_MS, 'asking the other site', async () => {
      if (this.#options.store.leadership().leader === null) await this.#ask(life.signal);
    });
  }

  close(): void {
    this.#line.close();
  }

  /** @returns it has answered, or there is none to ask. */
  async #ask(signal: AbortSignal): Promise<boolean> {
    const { view, clusterId, onChange, log } = this.#options;
    const site = view.site?.document;
    if (site === undefined || site.role !== 'primary') return true;
    const limit = AbortSignal.timeout(ASK_MS);
    try {
      const { site: there, clusterId: by } = await this.#line.call(site.peer, 'GET /v1/site', { from: clusterId }, { timeoutMs: CALL_MS, signal: AbortSignal.any([signal, limit]) });
      if (by === site.peer.clusterId && there?.role === 'primary') {
        this.#there = { clusterId: by, epoch: there.epoch };
        onChange();
      }
      return true;
    } catch (error) {
      if (signal.aborted || limit.aborted) return false;
      log.debug({ err: error }, 'the other site does not answer');
      return !isSilence(error);
    }
  }
}
