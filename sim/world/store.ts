/** What the agents have agreed on so far: the newest committed state. Nobody reads it but those who check. */
import type { GroupRecord, GroupSpec } from '../../src/group/model.ts';
import { Violation } from '../kernel/violation.ts';

/** The cluster's documents: one spec and one group record. Never changed once made. */
export interface Documents {
  revision: number;
  spec: { revision: number; value: GroupSpec };
  record: { revision: number; value: GroupRecord } | null;
}

export class Store {
  documents: Documents;
  /** Sees every record that becomes the present one. */
  readonly #check: (record: GroupRecord) => void;

  constructor(spec: GroupSpec, check: (record: GroupRecord) => void) {
    this.documents = { revision: 1, spec: { revision: 1, value: spec }, record: null };
    this.#check = check;
  }

  commit(documents: Documents): void {
    const before = this.documents;
    if (documents.revision === before.revision && documents !== before) throw new Violation('two-histories', `two states of revision ${documents.revision} were committed`);
    if (documents.revision <= before.revision) return;
    this.documents = documents;
    if (documents.record !== null && documents.record !== before.record) this.#check(documents.record.value);
  }
}

/** The write of a group's record, where it still is at `expected` (0: does not exist), or whatever it is. */
export const writeRecord = (expected: number, value: GroupRecord, compare: boolean) => (documents: Documents): Documents | null => {
  if (compare && (documents.record?.revision ?? 0) !== expected) return null;
  const revision = documents.revision + 1;
  return { ...documents, revision, record: { revision, value } };
};

export const writeSpec = (edit: (spec: GroupSpec) => GroupSpec) => (documents: Documents): Documents => {
  const revision = documents.revision + 1;
  return { ...documents, revision, spec: { revision, value: edit(documents.spec.value) } };
};
