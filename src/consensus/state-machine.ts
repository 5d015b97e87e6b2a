/**
 * The documents that the agents agree on: a deterministic function of the log. Every change of any key gets the next
 * revision. Values are kept as JSON text, so that nobody changes what was agreed on by changing what was read.
 */
import type { CasResult, Versioned } from '../state/store.ts';

/** One entry of the log. `id` names the request: a repeated one changes nothing and gets the first one's answer. */
export interface CasCommand {
  op: 'cas';
  id: string;
  key: string;
  /** The revision that the key must have; 0: it must not exist. */
  revision: number;
  /** Null deletes. */
  value: unknown;
}

export interface Change {
  key: string;
  revision: number;
  /** Null: deleted. */
  value: unknown;
}

interface SnapshotDocument {
  v: 1;
  revision: number;
  /** Sorted by key. */
  documents: [key: string, revision: number, json: string][];
  /** Oldest first. */
  requests: [id: string, revision: number][];
}

/** Successful requests remembered, so that one repeated after a lost answer is recognised. */
const REMEMBERED_REQUESTS = 1024;
/** Changes kept for watchers that come back. */
const KEPT_CHANGES = 1024;

export class StateMachine {
  #revision = 0;
  #documents = new Map<string, { revision: number; json: string }>();
  #requests = new Map<string, number>();
  #changes: { key: string; revision: number; json: string | null }[] = [];
  /** Changes up to this revision are no longer in `#changes`. */
  #forgotten = 0;

  get revision(): number {
    return this.#revision;
  }

  /** Applies one entry's data. Returns its result, and whether anything changed. */
  apply(data: string): { result: CasResult; change: Change | null } {
    const command = JSON.parse(data) as CasCommand;
    const repeated = this.#requests.get(command.id);
    if (repeated !== undefined) return { result: { ok: true, revision: repeated }, change: null };
    const current = this.#documents.get(command.key);
    if ((current?.revision ?? 0) !== command.revision) return { result: { ok: false, current: this.get(command.key) }, change: null };
    const value = command.value ?? null;
    if (value === null && current === undefined) return { result: { ok: true, revision: this.#revision }, change: null };
    this.#revision += 1;
    const revision = this.#revision;
    const json = value === null ? null : JSON.stringify(value);
    if (json === null) this.#documents.delete(command.key);
    else this.#documents.set(command.key, { revision, json });
    this.#remember(command.id, revision);
    this.#changes.push({ key: command.key, revision, json });
    if (this.#changes.length > KEPT_CHANGES) this.#forgotten = this.#changes.shift()!.revision;
    return { result: { ok: true, revision }, change: { key: command.key, revision, value } };
  }

  get(key: string): Versioned | null {
    const found = this.#documents.get(key);
    return found === undefined ? null : { key, revision: found.revision, value: JSON.parse(found.json) as unknown };
  }

  /** Documents whose key starts with `prefix`, by key. */
  list(prefix: string): Versioned[] {
    return [...this.#documents.keys()].filter((key) => key.startsWith(prefix)).sort().map((key) => this.get(key)!);
  }

  /** Changes after `revision` under `prefix`, oldest first; null when they are no longer all known. */
  changesSince(revision: number, prefix: string): Change[] | null {
    if (revision < this.#forgotten) return null;
    return this.#changes.filter((change) => change.revision > revision && change.key.startsWith(prefix))
      .map(({ key, revision: at, json }) => ({ key, revision: at, value: json === null ? null : JSON.parse(json) as unknown }));
  }

  /** Everything that later entries depend on; equal states give equal text. */
  snapshot(): string {
    const documents = [...this.#documents].map(([key, { revision, json }]) => [key, revision, json] as SnapshotDocument['documents'][number]);
    documents.sort(([a], [b]) => (a < b ? -1 : 1));
    return JSON.stringify({ v: 1, revision: this.#revision, documents, requests: [...this.#requests] } satisfies SnapshotDocument);
  }

  /** Takes a snapshot's state; '' is the empty one. Returns what is different now, for watchers, by revision. */
  restore(text: string): Change[] {
    const document: SnapshotDocument = text === ''
      ? { v: 1, revision: 0, documents: [], requests: [] } : JSON.parse(text) as SnapshotDocument;
    if (document.v !== 1) throw new Error(`the state's snapshot has version ${String(document.v)}, this pgorbit reads 1`);
    const before = this.#documents;
    this.#revision = document.revision;
    this.#documents = new Map(document.documents.map(([key, revision, json]) => [key, { revision, json }]));
    this.#requests = new Map(document.requests);
    this.#changes = [];
    this.#forgotten = document.revision;
    const gone = [...before.keys()].filter((key) => !this.#documents.has(key))
      .map((key) => ({ key, revision: this.#revision, value: null }));
    const changed = [...this.#documents].filter(([key, { revision }]) => before.get(key)?.revision !== revision)
      .map(([key, { revision, json }]) => ({ key, revision, value: JSON.parse(json) as unknown }));
    return [...gone, ...changed].sort((a, b) => a.revision - b.revision);
  }

  #remember(id: string, revision: number): void {
    this.#requests.set(id, revision);
    if (this.#requests.size > REMEMBERED_REQUESTS) this.#requests.delete(this.#requests.keys().next().value!);
  }
}
