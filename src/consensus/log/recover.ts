/** From what lies on disk to what Raft starts with: pure. */
import { PgorbitError } from '../../errors.ts';
import type { Entry, Snapshot } from '../core/types.ts';

export const LOG_VERSION = 1;

/** The payloads of a segment's frames. An entry replaces the one at its index and everything after it. */
export type LogRecord =
  | { kind: 'segment'; v: number; number: number }
  | { kind: 'save'; entries: Entry[]; commit: number }
  /** The log begins anew after `index`: a snapshot was received. */
  | { kind: 'reset'; index: number };

export interface Recovered {
  entries: Entry[];
  commit: number;
}

const corrupt = (what: string): PgorbitError =>
  new PgorbitError('state-corrupt', `the consensus log is damaged: ${what}`, { hint: REPLACE_HINT });

export const REPLACE_HINT =
  'restore nothing by hand: remove this host from the cluster and add it again, so that it gets the state from the others';

/** Adds a segment's records to what the earlier ones gave. */
export function replay(into: Recovered, records: LogRecord[], file: string): void {
  for (const record of records) {
    switch (record.kind) {
      case 'segment':
        if (record.v !== LOG_VERSION) throw corrupt(`${file} has version ${record.v}, this pgorbit reads ${LOG_VERSION}`);
        break;
      case 'reset':
        into.entries = [];
        into.commit = Math.max(into.commit, record.index);
        break;
      case 'save':
        for (const entry of record.entries) append(into.entries, entry, file);
        into.commit = Math.max(into.commit, record.commit);
    }
  }
}

function append(entries: Entry[], entry: Entry, file: string): void {
  const first = entries[0];
  if (first !== undefined) {
    const keep = Math.max(0, entry.index - first.index);
    if (keep > entries.length) throw corrupt(`${file} has entry ${entry.index} after ${entries.at(-1)!.index}`);
    entries.length = keep;
  }
  entries.push(entry);
}

/**
 * What of the log goes on from the snapshot. A log that does not contain the snapshot's last entry is older than it,
 * from another history: the crash came after the snapshot was stored and before the log was reset.
 */
export function joinSnapshot({ entries, commit }: Recovered, snapshot: Snapshot): Recovered & { reset: boolean } {
  const first = entries[0];
  const floor = Math.max(commit, snapshot.index);
  if (first === undefined) return { entries, commit: floor, reset: false };
  if (first.index === snapshot.index + 1) return { entries, commit: floor, reset: false };
  if (first.index > snapshot.index + 1) {
    throw corrupt(`the newest snapshot ends at entry ${snapshot.index}, the log begins at ${first.index}`);
  }
  const reset = entries[snapshot.index - first.index]?.term !== snapshot.term;
  return { entries: reset ? [] : entries.slice(snapshot.index + 1 - first.index), commit: reset ? snapshot.index : floor, reset };
}
