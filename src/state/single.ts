/** The store of the one agent that decides: documents in memory, every change durable before it is acknowledged. */
import { PgorbitError } from '../errors.ts';
import { sleep } from '../lifecycle.ts';
import { type Change, Documents, type DocumentsJson } from './documents.ts';
import { readState, writeState } from './file.ts';
import type { CasResult, Leadership, StateStore, Versioned } from './store.ts';
import { type OnChange, type OnError, Watchers } from './watchers.ts';

export interface SingleStoreOptions {
  /** The state file; its folder must exist. */
  file: string;
  /** This agent's host, which is the leader. */
  host: string;
  /** Told of an error in a watcher's callback. */
  onError: OnError;
}

/** The shape of the state file's value. */
const VERSION = 1;

export class SingleStore implements StateStore {
  readonly #options: SingleStoreOptions;
  readonly #documents: Documents;
  readonly #watchers: Watchers;
  /** Long polls that wait for a change. */
  readonly #polls = new Set<() => void>();
  /** The write that runs, and those that queue behind it. */
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(options: SingleStoreOptions, documents: Documents) {
    this.#options = options;
    this.#documents = documents;
    this.#watchers = new Watchers((prefix) => documents.list(prefix), options.onError);
  }

  /** @throws PgorbitError `state-corrupt` for a damaged file; one that is missing is an empty store. */
  static async open(options: SingleStoreOptions): Promise<SingleStore> {
    const state = await readState(options.file);
    if (state !== null && state.version !== VERSION) {
      throw new PgorbitError('state-corrupt', `The state in ${options.file} has version ${state.version}, and this pgorbit knows ${VERSION}.`, {
        hint: 'Run the version of pgorbit that wrote it, or a newer one.',
      });
    }
    return new SingleStore(options, new Documents(state === null ? undefined : (state.value as DocumentsJson)));
  }

  async read(key: string): Promise<Versioned | null> {
    return this.#documents.get(key);
  }

  async list(prefix: string): Promise<Versioned[]> {
    return this.#documents.list(prefix);
  }

  compareAndSet(key: string, revision: number, value: unknown): Promise<CasResult> {
    const result = this.#writing.then(() => this.#set(key, revision, value));
    this.#writing = result.catch(() => undefined);
    return result;
  }

  watch(prefix: string, onChange: OnChange): () => void {
    return this.#watchers.add(prefix, onChange);
  }

  leadership(): Leadership {
    return { leader: this.#options.host, self: true, term: 1 };
  }

  onLeadership(): () => void {
    return () => {};
  }

  /**
   * What changed under `prefix` after `revision` (each key's newest change), waiting up to `waitMs` for a first one.
   * The answer's revision is where to go on; one below `revision` means that this store began anew, and then the
   * changes are its whole state.
   */
  async changesSince(prefix: string, revision: number, waitMs: number, signal?: AbortSignal): Promise<{ revision: number; changes: Change[] }> {
    const waiting = new AbortController();
    const wake = (): void => {
      if (this.#documents.since(revision, prefix).length > 0) waiting.abort();
    };
    const forward = (): void => waiting.abort();
    if (this.#documents.revision < revision || signal?.aborted) forward();
    wake();
    this.#polls.add(wake);
    signal?.addEventListener('abort', forward, { once: true });
    await sleep(waitMs, waiting.signal);
    signal?.removeEventListener('abort', forward);
    this.#polls.delete(wake);
    return { revision: this.#documents.revision, changes: this.#documents.since(revision, prefix) };
  }

  /** Ends every watch, and waits for the write that runs. */
  async close(): Promise<void> {
    this.#watchers.clear();
    await this.#writing;
  }

  async #set(key: string, revision: number, value: unknown): Promise<CasResult> {
    const current = this.#documents.get(key);
    if ((current?.revision ?? 0) !== revision) return { ok: false, current };
    if (value === null && current === null) return { ok: true, revision: this.#documents.revision };
    // Through JSON and back: what is read later is what the file holds, and no caller's later change reaches in.
    const change: Change = { key, revision: this.#documents.revision + 1, value: JSON.parse(JSON.stringify(value)) };
    const next = new Documents(this.#documents.toJson());
    next.apply(change);
    await writeState(this.#options.file, { version: VERSION, value: next.toJson() });
    this.#documents.apply(change);
    this.#watchers.announce(change);
    for (const wake of this.#polls) wake();
    return { ok: true, revision: change.revision };
  }
}
