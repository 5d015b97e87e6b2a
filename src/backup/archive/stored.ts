/**
 * Archived WAL in a store that is no folder. Segments are collected in memory and put when they are whole, one after the
 * other, because an archive goes on behind its newest: a later one that is there before an earlier one would leave a gap. Of
 * the one that is being written, what there is of it is put now and then as `.partial`. Nothing counts as flushed before
 * the store has it: until then the slot keeps it on the server. A value that is there is never replaced by another one.
 */
import { PgorbitError } from '../../errors.ts';
import { Bell, Lifecycle } from '../../lifecycle.ts';
import { historyFileName, type TimelineHistory } from '../../wal/history.ts';
import { type Lsn, formatLsn, segmentName, segmentStart } from '../../wal/lsn.ts';
import type { SystemFolder } from '../repository.ts';
import { sumOf } from '../sums.ts';
import { type ArchivePosition, type ArchiveWriter, PARTIAL, archiveEnd } from './writer.ts';

/** So many bytes wait at most before the server has to. */
const MOST_WAITING = 64 * 1024 * 1024;
/** A part of a segment is put again after so long, if nobody waits for it and nothing else was said. */
const PARTIAL_MS = 10_000;
const IDLE_MS = 500;

export interface StoredArchiveOptions {
  system: SystemFolder;
  segmentSize: number;
  /** What the archive has. */
  names: readonly string[];
  /** Aborts when another may be writing. */
  lost: AbortSignal;
  /** A part of a segment is put again after so long, ms. */
  partialMs?: number | undefined;
}

type Task = { kind: 'history'; name: string; bytes: Buffer } | { kind: 'segment'; name: string; bytes: Buffer; timeline: number; end: Lsn };

export class StoredArchive implements ArchiveWriter {
  readonly dir: string;
  readonly segmentSize: number;
  readonly #options: StoredArchiveOptions;
  readonly #life: Lifecycle;
  readonly #bell = new Bell();
  readonly #tasks: Task[] = [];
  #failure: unknown = null;
  #timeline = 0;
  #segment: Buffer | null = null;
  #start: Lsn = 0n;
  #written: Lsn = 0n;
  #flushed: Lsn = 0n;
  #hurried = false;
  #partAt = -Infinity;

  constructor(options: StoredArchiveOptions) {
    this.#options = options;
    this.dir = options.system.path('wal');
    this.segmentSize = options.segmentSize;
    this.#life = new Lifecycle((error) => {
      this.#failure ??= error;
    });
    this.#life.run('archiving', (signal) => this.#ship(signal));
  }

  get timeline(): number {
    return this.#timeline;
  }
  get written(): Lsn {
    return this.#written;
  }
  get flushed(): Lsn {
    return this.#flushed;
  }
  get full(): boolean {
    return this.#tasks.reduce((sum, { bytes }) => sum + bytes.length, 0) >= Math.max(MOST_WAITING, this.segmentSize);
  }

  end(history: TimelineHistory | null = null): ArchivePosition | null {
    return archiveEnd(this.#options.names, this.segmentSize, history);
  }

  /** What is still under way of an earlier timeline is put, and says nothing about this one. */
  begin(at: ArchivePosition): void {
    this.#timeline = at.timeline;
    this.#segment = null;
    this.#start = this.#written = this.#flushed = segmentStart(at.lsn, this.segmentSize);
    this.#partAt = -Infinity;
  }

  write(lsn: Lsn, data: Uint8Array): void {
    this.#check();
    if (lsn !== this.#written) throw new PgorbitError('wal-invalid', `WAL came for ${formatLsn(lsn)}, and ${formatLsn(this.#written)} was due`);
    for (let at = 0; at < data.length; ) {
      if (this.#segment === null) {
        this.#segment = Buffer.allocUnsafeSlow(this.segmentSize);
        this.#start = this.#written;
      }
      const offset = Number(this.#written - this.#start);
      const count = Math.min(data.length - at, this.segmentSize - offset);
      this.#segment.set(data.subarray(at, at + count), offset);
      this.#written += BigInt(count);
      at += count;
      if (offset + count === this.segmentSize) {
        this.#add({ kind: 'segment', name: segmentName(this.#timeline, this.#start, this.segmentSize), bytes: this.#segment, timeline: this.#timeline, end: this.#written });
        this.#segment = null;
      }
    }
  }

  flush(): void {
    this.#check();
    this.#bell.ring();
  }

  hurry(): void {
    this.#hurried = true;
    this.flush();
  }

  saveHistory(timeline: number, text: string): void {
    this.#add({ kind: 'history', name: historyFileName(timeline), bytes: Buffer.from(text) });
  }

  close(): void {
    this.#life.stop().catch(() => {});
  }

  /** Resolves when nothing is put any more. */
  stop(): Promise<void> {
    return this.#life.stop();
  }

  #add(task: Task): void {
    this.#tasks.push(task);
    this.#bell.ring();
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  async #ship(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#options.lost.throwIfAborted();
      const [task] = this.#tasks;
      if (task !== undefined) {
        await this.#put(task);
        this.#tasks.shift();
        if (task.kind === 'segment' && task.timeline === this.#timeline && task.end > this.#flushed) this.#flushed = task.end;
      } else if (this.#partIsDue()) await this.#putPart();
      else await this.#bell.wait(IDLE_MS, signal);
    }
  }

  #partIsDue(): boolean {
    if (this.#flushed === this.#written) this.#hurried = false;
    return this.#flushed < this.#written && this.#segment !== null && (this.#hurried || performance.now() - this.#partAt >= (this.#options.partialMs ?? PARTIAL_MS));
  }

  async #putPart(): Promise<void> {
    const { system } = this.#options;
    const [timeline, end] = [this.#timeline, this.#written];
    const bytes = Buffer.from(this.#segment!.subarray(0, Number(end - this.#start)));
    this.#partAt = performance.now();
    await system.store.put(system.key('wal', `${segmentName(timeline, this.#start, this.segmentSize)}${PARTIAL}`), bytes);
    if (timeline === this.#timeline && end > this.#flushed) this.#flushed = end;
  }

  /** The checksum first: a whole segment is never without. */
  async #put(task: Task): Promise<void> {
    const { system } = this.#options;
    if (task.kind === 'segment') await this.#keep(system.key('sums', task.name), Buffer.from(`${sumOf(task.bytes)}\n`));
    await this.#keep(system.key('wal', task.name), task.bytes);
    if (task.kind === 'segment') await system.store.delete(system.key('wal', `${task.name}${PARTIAL}`));
  }

  async #keep(key: string, bytes: Buffer): Promise<void> {
    const { store } = this.#options.system;
    if (await store.create(key, bytes)) return;
    const there = await store.get(key);
    if (there === null || there.equals(bytes)) return;
    throw new PgorbitError('wal-invalid', `${store.path(key)} is there already, and it differs from what the server sends`, {
      hint: 'two clusters of one system identifier and name may not share a repository: archive this one to another. If a copy of the cluster was archived here by mistake, move that file away',
    });
  }
}
