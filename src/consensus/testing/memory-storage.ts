/** A disk in memory: what was saved is there after a crash, what was not is not. */
import { EMPTY_HARD_STATE, EMPTY_SNAPSHOT, type RaftStart, type Ready, type Snapshot } from '../core/types.ts';
import type { RaftStorage } from '../log/storage.ts';

export class MemoryStorage implements RaftStorage {
  start: RaftStart = { hardState: EMPTY_HARD_STATE, snapshot: EMPTY_SNAPSHOT, entries: [] };
  blank = true;
  /** Every write fails from now on. */
  broken: Error | null = null;
  #disk: RaftStart = this.start;

  /** The same disk, for the next run of the agent. */
  reopened(): MemoryStorage {
    const next = new MemoryStorage();
    next.start = structuredClone(this.#disk);
    next.#disk = structuredClone(this.#disk);
    next.blank = this.blank;
    return next;
  }

  async bootstrap(snapshot: Snapshot): Promise<void> {
    this.blank = false;
    this.#disk = { hardState: { term: 0, vote: null, commit: snapshot.index }, snapshot, entries: [] };
    this.start = structuredClone(this.#disk);
  }

  async save({ hardState, entries, snapshot, mustSync }: Pick<Ready, 'hardState' | 'entries' | 'snapshot' | 'mustSync'>): Promise<void> {
    await Promise.resolve();
    if (this.broken !== null) throw this.broken;
    if (!mustSync) return;
    this.blank = false;
    const disk = this.#disk;
    const first = entries[0]?.index ?? Infinity;
    const kept = snapshot === null ? disk.entries.filter(({ index }) => index < first) : [];
    this.#disk = {
      hardState: hardState ?? disk.hardState, snapshot: snapshot ?? disk.snapshot, entries: [...kept, ...structuredClone(entries)],
    };
  }

  async compact(snapshot: Snapshot): Promise<void> {
    if (this.broken !== null) throw this.broken;
    this.#disk = { ...this.#disk, snapshot, entries: this.#disk.entries.filter(({ index }) => index > snapshot.index) };
  }

  async close(): Promise<void> {}
}
