/**
 * The documents of a store at one revision, and what became of deleted ones. Pure: a store applies changes to it once
 * they are durable.
 *
 * A deleted key stays as a tombstone with its revision. There are few keys, and so a watcher that comes back after any
 * time can be told all it missed, deletions included: a key's newest change is enough, older ones are history.
 */
import type { Versioned } from './store.ts';

/** A change of one key; null: it was deleted. */
export interface Change {
  key: string;
  revision: number;
  value: unknown;
}

/** How a Documents lies in a state file. */
export interface DocumentsJson {
  revision: number;
  changes: Change[];
}

export class Documents {
  /** Each key's newest change, in the order of revisions. */
  readonly #newest = new Map<string, Change>();
  #revision: number;

  constructor(json: DocumentsJson = { revision: 0, changes: [] }) {
    this.#revision = json.revision;
    for (const change of json.changes.toSorted((a, b) => a.revision - b.revision)) this.#newest.set(change.key, change);
  }

  /** The revision of the newest change; 0 when there was none. */
  get revision(): number {
    return this.#revision;
  }

  get(key: string): Versioned | null {
    const change = this.#newest.get(key);
    return change === undefined || change.value === null ? null : change;
  }

  list(prefix: string): Versioned[] {
    return [...this.#newest.values()].filter((change) => change.value !== null && change.key.startsWith(prefix));
  }

  /** Each key's newest change after `revision`, oldest first; a revision from the future counts as 0. */
  since(revision: number, prefix: string): Change[] {
    const after = revision > this.#revision ? 0 : revision;
    return [...this.#newest.values()].filter((change) => change.revision > after && change.key.startsWith(prefix));
  }

  /** Takes a change whose revision is above all before. */
  apply(change: Change): void {
    this.#newest.delete(change.key);
    this.#newest.set(change.key, change);
    this.#revision = change.revision;
  }

  /** Moves the revision on when changes that were not asked for raised it. */
  advance(revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
  }

  toJson(): DocumentsJson {
    return { revision: this.#revision, changes: [...this.#newest.values()] };
  }
}
