/** Who wants to hear of changed documents. A listener that throws is told of to `onError`, and stays. */
import type { Versioned } from '../state/store.ts';
import type { Change, StateMachine } from './state-machine.ts';

type Listener = (document: Versioned | { key: string; revision: number; value: null }) => void;

export class Watchers {
  readonly #machine: StateMachine;
  readonly #onError: (error: unknown) => void;
  readonly #watchers = new Set<{ prefix: string; listener: Listener; begun: boolean }>();

  constructor(machine: StateMachine, onError: (error: unknown) => void) {
    this.#machine = machine;
    this.#onError = onError;
  }

  /** The present documents under `prefix` come first, after the caller has got its way to stop. */
  watch(prefix: string, listener: Listener): () => void {
    const watcher = { prefix, listener, begun: false };
    this.#watchers.add(watcher);
    queueMicrotask(() => {
      if (!this.#watchers.has(watcher)) return;
      watcher.begun = true;
      for (const document of this.#machine.list(prefix)) this.#tell(watcher, document);
    });
    return () => {
      this.#watchers.delete(watcher);
    };
  }

  changed(changes: Change[]): void {
    for (const watcher of this.#watchers) {
      if (!watcher.begun) continue;
      for (const change of changes) if (change.key.startsWith(watcher.prefix)) this.#tell(watcher, change);
    }
  }

  #tell(watcher: { listener: Listener }, change: Change): void {
    if (!this.#watchers.has(watcher as never)) return;
    try {
      watcher.listener(change);
    } catch (error) {
      this.#onError(error);
    }
  }
}
