/** The cluster's documents: one spec and one group record, changed by compare-and-set; they survive every agent. */
import type { GroupRecord, GroupSpec } from '../src/group/model.ts';

export interface Documents {
  revision: number;
  spec: { revision: number; value: GroupSpec };
  record: { revision: number; value: GroupRecord } | null;
}

export class ModelStore {
  #documents: Documents;
  readonly #compare: boolean;
  readonly onChange: (() => void)[] = [];
  /** Sees every record before it becomes the present one. */
  readonly #check: (record: GroupRecord) => void;

  constructor(spec: GroupSpec, options: { compare: boolean; check: (record: GroupRecord) => void }) {
    this.#documents = { revision: 1, spec: { revision: 1, value: spec }, record: null };
    this.#compare = options.compare;
    this.#check = options.check;
  }

  /** A snapshot: never changed afterwards. */
  get documents(): Documents {
    return this.#documents;
  }

  setSpec(value: GroupSpec): void {
    const revision = this.#documents.revision + 1;
    this.#change({ ...this.#documents, revision, spec: { revision, value } });
  }

  /** @returns false where the record is no longer at `revision` (0: does not exist). */
  setRecord(expected: number, value: GroupRecord): boolean {
    if (this.#compare && (this.#documents.record?.revision ?? 0) !== expected) return false;
    this.#check(value);
    const revision = this.#documents.revision + 1;
    this.#change({ ...this.#documents, revision, record: { revision, value } });
    return true;
  }

  #change(documents: Documents): void {
    this.#documents = documents;
    for (const tell of this.onChange) tell();
  }
}
