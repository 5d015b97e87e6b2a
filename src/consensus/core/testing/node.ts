/** A node of the simulated group: a core, a disk that forgets what was not synced, and a state machine that keeps everything. */
import { Raft } from '../raft.ts';
import type { Conf, Entry, Message, RaftOptions, RaftStart, Ready } from '../types.ts';

export class SimNode {
  readonly id: string;
  readonly options: RaftOptions;
  disk: RaftStart;
  /** Null while it is down. */
  raft: Raft | null = null;
  /** The data of everything applied, in order. */
  machine: string[] = [];
  /** Set by the caller to have the node go down in the middle of its next Ready. */
  crashAt: CrashPoint | null = null;

  constructor(options: RaftOptions, conf: Conf | null) {
    this.id = options.id;
    this.options = options;
    this.disk = {
      hardState: { term: 0, vote: null, commit: conf === null ? 0 : 1 },
      snapshot: conf === null
        ? { index: 0, term: 0, conf: { voters: [], learners: [] }, data: '[]' }
        : { index: 1, term: 0, conf, data: '[]' },
      entries: [],
    };
    this.start();
  }

  start(): void {
    this.raft = new Raft(this.options, structuredClone(this.disk));
    this.machine = JSON.parse(this.disk.snapshot.data) as string[];
    this.crashAt = null;
  }

  crash(): void {
    this.raft = null;
    this.crashAt = null;
  }

  persist(ready: Ready): void {
    const { disk } = this;
    if (!ready.mustSync) return;
    if (ready.snapshot !== null) {
      disk.snapshot = ready.snapshot;
      disk.entries = [];
    }
    if (ready.hardState !== null) disk.hardState = ready.hardState;
    this.append(ready.entries);
  }

  append(entries: Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    this.disk.entries = [...this.disk.entries.filter((entry) => entry.index < first.index), ...structuredClone(entries)];
  }

  apply(ready: Ready): void {
    if (ready.snapshot !== null) this.machine = JSON.parse(ready.snapshot.data) as string[];
    for (const entry of ready.committed) if (entry.kind === 'data') this.machine.push(entry.data);
  }

  compact(keep: number): void {
    if (this.raft === null) return;
    const snapshot = this.raft.compact(JSON.stringify(this.machine), keep);
    this.disk.snapshot = snapshot;
    this.disk.entries = this.disk.entries.filter((entry) => entry.index > snapshot.index);
  }
}

/** Where in a Ready a crash strikes. */
export type CrashPoint = 'before-persist' | 'after-hard-state' | 'before-send' | 'mid-send' | 'before-apply';
export const CRASH_POINTS: readonly CrashPoint[] = ['before-persist', 'after-hard-state', 'before-send', 'mid-send', 'before-apply'];

/** Small, fast and seeded (mulberry32): a whole number in [0, limit). */
export function seeded(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

export const copyOf = (message: Message): Message => structuredClone(message);
