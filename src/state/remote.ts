/**
 * The deciding agent's store, seen from another host. Reads and writes go to the decider; watches are fed by one long
 * poll of the whole state, whose last answer is kept on disk, so that an agent that starts while the decider is away
 * still knows what its members are to be.
 */
import type { RpcClient } from '../agent/rpc/client.ts';
import { Lifecycle, sleep } from '../lifecycle.ts';
import { type Change, Documents, type DocumentsJson } from './documents.ts';
import { readState, writeState } from './file.ts';
import type { CasResult, Leadership, StateStore, Versioned } from './store.ts';
import { type OnChange, type OnError, Watchers } from './watchers.ts';

export interface RemoteStoreOptions {
  /** Calls the deciding agent; the store does not close it. */
  client: Pick<RpcClient, 'call'>;
  /** The decider's host. */
  leader: string;
  /** Where the last known documents are kept (mode 0600); its folder must exist. */
  cacheFile: string;
  /** Told of what fails in the background: the decider out of reach (once an outage), a damaged or unwritable cache. */
  onError: OnError;
  /** How long the decider may hold a poll, in ms. */
  waitMs?: number;
  /** The first and the longest pause between attempts while the decider is out of reach, in ms. */
  backoffMs?: { first: number; longest: number };
}

const CACHE_VERSION = 1;
/** What a poll may take beyond the time that the decider holds it. */
const POLL_SLACK_MS = 10_000;

export class RemoteStore implements StateStore {
  readonly #options: RemoteStoreOptions;
  #documents: Documents;
  readonly #watchers: Watchers;
  readonly #lifecycle: Lifecycle;

  private constructor(options: RemoteStoreOptions, documents: Documents) {
    this.#options = options;
    this.#documents = documents;
    this.#watchers = new Watchers((prefix) => this.#documents.list(prefix), options.onError);
    this.#lifecycle = new Lifecycle(options.onError);
    this.#lifecycle.run('following the deciding agent', (signal) => this.#follow(signal));
  }

  /** Reads the cache and begins to follow the decider; does not wait for it. A damaged cache is told and left out. */
  static async open(options: RemoteStoreOptions): Promise<RemoteStore> {
    return new RemoteStore(options, await readCache(options));
  }

  async read(key: string): Promise<Versioned | null> {
    return (await this.#options.client.call('POST /v1/state/read', { key })).document;
  }

  async list(prefix: string): Promise<Versioned[]> {
    return (await this.#options.client.call('POST /v1/state/list', { prefix })).documents;
  }

  /** After `timed-out` or a lost connection the change may have been made all the same: read before trying again. */
  compareAndSet(key: string, revision: number, value: unknown): Promise<CasResult> {
    return this.#options.client.call('POST /v1/state/cas', { key, revision, value });
  }

  watch(prefix: string, onChange: OnChange): () => void {
    return this.#watchers.add(prefix, onChange);
  }

  leadership(): Leadership {
    return { leader: this.#options.leader, self: false, term: 1 };
  }

  onLeadership(): () => void {
    return () => {};
  }

  /** Ends the polling and every watch. */
  async close(): Promise<void> {
    this.#watchers.clear();
    await this.#lifecycle.stop();
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { first, longest } = this.#options.backoffMs ?? { first: 100, longest: 2_000 };
    let pause = 0;
    while (!signal.aborted) {
      try {
        // After an outage the first answer comes at once, so that its end is noticed at once.
        await this.#poll(pause === 0 ? (this.#options.waitMs ?? 25_000) : 0, signal);
        pause = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (pause === 0) this.#options.onError(error, 'following the deciding agent');
        pause = Math.min(longest, Math.max(first, pause * 2));
        await sleep(pause, signal);
      }
    }
  }

  async #poll(waitMs: number, signal: AbortSignal): Promise<void> {
    const known = this.#documents.revision;
    const answer = await this.#options.client.call(
      'POST /v1/state/watch',
      { prefix: '', revision: known, waitMs },
      { timeoutMs: waitMs + POLL_SLACK_MS, signal },
    );
    const anew = answer.revision < known;
    if (answer.changes.length === 0 && !anew) return;
    const next = anew ? new Documents() : new Documents(this.#documents.toJson());
    for (const change of answer.changes) next.apply(change);
    next.advance(answer.revision);
    const lost = anew ? vanished(this.#documents, next, answer.revision) : [];
    await this.#keep(next);
    this.#documents = next;
    for (const change of [...answer.changes, ...lost]) this.#watchers.announce(change);
  }

  /** On disk before it is announced: what an agent has acted on, it also knows after a restart. */
  async #keep(documents: Documents): Promise<void> {
    try {
      await writeState(this.#options.cacheFile, { version: CACHE_VERSION, value: documents.toJson() });
    } catch (error) {
      // Acting on what the decider wants matters more than remembering it.
      this.#options.onError(error, 'keeping the state of the deciding agent');
    }
  }
}

/** Deletions that nobody told: the decider's store began anew without these documents. */
function vanished(before: Documents, after: Documents, revision: number): Change[] {
  return before
    .list('')
    .filter((document) => after.get(document.key) === null)
    .map((document) => ({ key: document.key, revision, value: null }));
}

async function readCache(options: RemoteStoreOptions): Promise<Documents> {
  try {
    const state = await readState(options.cacheFile);
    if (state?.version === CACHE_VERSION) return new Documents(state.value as DocumentsJson);
  } catch (error) {
    options.onError(error, 'reading the last known state');
  }
  return new Documents();
}
