/** Who watches what. Each watcher gets the present state first and then every change, in order. */
import type { Change } from './documents.ts';
import type { StateStore, Versioned } from './store.ts';

export type OnChange = Parameters<StateStore['watch']>[1];
/** Told of an error that a watcher's callback threw; the others go on. */
export type OnError = (error: unknown, what: string) => void;

interface Watcher {
  prefix: string;
  onChange: OnChange;
  /** False until the present state was delivered. */
  started: boolean;
}

export class Watchers {
  readonly #watchers = new Set<Watcher>();
  readonly #present: (prefix: string) => Versioned[];
  readonly #onError: OnError;

  constructor(present: (prefix: string) => Versioned[], onError: OnError) {
    this.#present = present;
    this.#onError = onError;
  }

  /** The present state comes after the caller's own step, so that the caller already holds what stops the watch. */
  add(prefix: string, onChange: OnChange): () => void {
    const watcher: Watcher = { prefix, onChange, started: false };
    this.#watchers.add(watcher);
    queueMicrotask(() => {
      if (!this.#watchers.has(watcher)) return;
      watcher.started = true;
      for (const document of this.#present(prefix)) this.#tell(watcher, document);
    });
    return () => {
      this.#watchers.delete(watcher);
    };
  }

  announce(change: Change): void {
    for (const watcher of this.#watchers) {
      if (watcher.started && change.key.startsWith(watcher.prefix)) this.#tell(watcher, change);
    }
  }

  clear(): void {
    this.#watchers.clear();
  }

  #tell(watcher: Watcher, change: Change): void {
    if (!this.#watchers.has(watcher)) return;
    try {
      watcher.onChange(change);
    } catch (error) {
      this.#onError(error, `watching ${watcher.prefix === '' ? 'the state' : watcher.prefix}`);
    }
  }
}
