/** What the driver needs of a disk. FileLog is the real one; tests and the simulator bring their own. */
import type { RaftStart, Ready, Snapshot } from '../core/types.ts';

export interface RaftStorage {
  /** What was durable when it was opened. */
  readonly start: RaftStart;
  /** Nothing was ever stored here: this node knows of no group yet. */
  readonly blank: boolean;
  /** Lays down the state that a group begins with. Only while blank. */
  bootstrap(snapshot: Snapshot): Promise<void>;
  /** Makes the durable part of a Ready durable, in order. One call at a time. */
  save(ready: Pick<Ready, 'hardState' | 'entries' | 'snapshot' | 'mustSync'>): Promise<void>;
  /** Keeps `snapshot`, made here, and drops what it makes superfluous. */
  compact(snapshot: Snapshot): Promise<void>;
  close(): Promise<void>;
}
