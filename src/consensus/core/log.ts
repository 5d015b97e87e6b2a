/**
 * The log in memory: everything after the last compaction. `stable` is how far it is durable, `applied` and
 * `committed` how far it is applied and may be; applied <= committed <= lastIndex. A violated invariant throws:
 * the node must stop rather than go on.
 */
import { EMPTY_SNAPSHOT, type Entry, type Snapshot } from './types.ts';

export class RaftLog {
  /** The newest snapshot: what a follower gets whose entries are gone. */
  snapshot: Snapshot = EMPTY_SNAPSHOT;
  /** Received and not yet made durable and restored. */
  pendingSnapshot: Snapshot | null = null;
  committed: number;
  applied: number;
  stable: number;
  /** Index and term of the entry before the first one kept. */
  #base: { index: number; term: number };
  #entries: Entry[];

  constructor(snapshot: Snapshot, entries: Entry[], commit: number) {
    this.snapshot = snapshot;
    this.#base = { index: snapshot.index, term: snapshot.term };
    this.#entries = entries.filter((entry) => entry.index > snapshot.index);
    this.#entries.forEach((entry, at) => {
      if (entry.index !== snapshot.index + 1 + at) throw new Error(`log has entry ${entry.index} where ${snapshot.index + 1 + at} belongs`);
    });
    this.committed = Math.min(Math.max(commit, snapshot.index), this.lastIndex);
    this.applied = snapshot.index;
    this.stable = this.lastIndex;
  }

  get firstIndex(): number {
    return this.#base.index + 1;
  }

  get lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }

  get lastTerm(): number {
    return this.term(this.lastIndex)!;
  }

  /** The term of the entry at `index`; undefined when it is compacted away or does not exist. */
  term(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.term;
    return this.#entries[index - this.#base.index - 1]?.term;
  }

  matches(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Entries of [from, to]. */
  slice(from: number, to: number): Entry[] {
    return this.#entries.slice(Math.max(0, from - this.firstIndex), Math.max(0, to - this.#base.index));
  }

  /** Entries from `from` on, at least one if there is any, and no more characters of data than `maxBatch`. */
  batch(from: number, maxBatch: number): Entry[] {
    const batch: Entry[] = [];
    let size = 0;
    for (let at = from - this.firstIndex; at < this.#entries.length; at += 1) {
      const entry = this.#entries[at]!;
      size += entry.data.length;
      if (batch.length > 0 && size > maxBatch) break;
      batch.push(entry);
    }
    return batch;
  }

  /** Is a log that ends so at least as new as this one? (Raft paper, 5.4.1) */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Appends the leader's entries, which follow `prevIndex`, replacing what differs. Returns the last index known to match. */
  merge(prevIndex: number, entries: Entry[]): number {
    const fresh = entries.findIndex((entry) => !this.matches(entry.index, entry.term));
    if (fresh !== -1) {
      const from = entries[fresh]!.index;
      if (from <= this.committed) throw new Error(`entry ${from} conflicts with a committed one (committed up to ${this.committed})`);
      this.#entries.length = from - this.firstIndex;
      this.#entries.push(...entries.slice(fresh));
      this.stable = Math.min(this.stable, from - 1);
    }
    return prevIndex + entries.length;
  }

  append(entry: Entry): void {
    if (entry.index !== this.lastIndex + 1) throw new Error(`entry ${entry.index} appended after ${this.lastIndex}`);
    this.#entries.push(entry);
  }

  /**
   * The last entry at or below `index` whose term is at most `term` (or unknown): where two logs that disagree at
   * `index` may first agree again, a whole term a step.
   */
  lastAtOrBelowTerm(index: number, term: number): number {
    let at = index;
    for (let found = this.term(at); found !== undefined && found > term; found = this.term(at)) at -= 1;
    return at;
  }

  commitTo(index: number): boolean {
    if (index <= this.committed) return false;
    if (index > this.lastIndex) throw new Error(`entry ${index} is committed, but the log ends at ${this.lastIndex}: it has lost entries`);
    this.committed = index;
    return true;
  }

  /** Replaces everything by a snapshot received from the leader. */
  restore(snapshot: Snapshot): void {
    this.pendingSnapshot = snapshot;
    this.snapshot = snapshot;
    this.#base = { index: snapshot.index, term: snapshot.term };
    this.#entries = [];
    this.committed = snapshot.index;
    this.stable = snapshot.index;
  }

  /** Takes `snapshot`, made here, and forgets entries older than the last `keep` it covers. */
  compact(snapshot: Snapshot, keep: number): void {
    this.snapshot = snapshot;
    const upTo = Math.min(snapshot.index - keep, this.stable);
    const term = this.term(upTo);
    if (upTo <= this.#base.index || term === undefined) return;
    this.#entries = this.#entries.slice(upTo - this.#base.index);
    this.#base = { index: upTo, term };
  }
}
