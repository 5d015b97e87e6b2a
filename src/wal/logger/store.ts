/**
 * The logger's WAL on disk: standard segment files, written in order, fsynced in groups. All calls are synchronous,
 * because a hop through the thread pool costs more than it hides (the logger is a process of its own).
 *
 * What is durable is always a prefix: a segment is fsynced before the next is written, and `flushed` moves only after
 * fdatasync has returned. After a crash the end is found by reading records; everything acknowledged lies before it,
 * since a commit is acknowledged at the end of its record.
 */
import { closeSync, existsSync, fdatasyncSync, fsyncSync, ftruncateSync, openSync, readFileSync, readSync, readdirSync, renameSync, statSync, unlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PgorbitError, errnoOf } from '../../errors.ts';
import { readHistory } from '../files.ts';
import { type TimelineHistory, historyFileName, parseHistory, timelineSpans } from '../history.ts';
import { type Lsn, formatLsn, parseSegmentName, segmentName, segmentOffset, segmentStart } from '../lsn.ts';
import { findWalEnd } from '../scan.ts';
import { Spares } from './spares.ts';
import { type DurableState, fsyncDir } from './state.ts';

export interface StoredSegment {
  name: string;
  timeline: number;
  start: Lsn;
  /** When it was last written, ms since 1970: only purging looks at it. */
  modifiedMs: number;
}

const ZEROS = Buffer.alloc(1 << 20);

export class WalStore {
  readonly dir: string;
  readonly state: DurableState;
  readonly spares: Spares;
  #history: TimelineHistory = { timeline: 0, parents: [] };
  #written: Lsn | null = null;
  #flushed: Lsn | null = null;
  #fd: number | null = null;
  #fdStart: Lsn = 0n;
  /** After a failed fsync the kernel may take unwritten pages for clean: what follows `flushed` is written anew first. */
  #suspect: Lsn | null = null;
  readonly #listeners = new Set<() => void>();

  private constructor(dir: string, state: DurableState, maxSpares: number) {
    this.dir = dir;
    this.state = state;
    this.spares = new Spares(dir, maxSpares);
  }

  /** Opens the folder, finds the end of what is there and makes it durable. */
  static async open(dir: string, state: DurableState, options: { maxSpares: number }): Promise<WalStore> {
    const store = new WalStore(dir, state, options.maxSpares);
    const { timeline, segmentSize, systemIdentifier } = state.value;
    if (timeline === 0 || systemIdentifier === null) return store;
    store.#history = await readHistory(dir, timeline);
    const all = store.segments();
    if (all.length === 0 && state.value.walTerm > 0) {
      throw new PgorbitError('state-corrupt', `${dir} is empty, and this logger has acknowledged WAL in term ${state.value.walTerm}`, {
        hint: 'remove the logger and add it again: with its WAL gone its vote must not count',
      });
    }
    const last = all.findLast((segment) => segment.timeline === timeline);
    if (!last) {
      // A timeline that began at a segment's edge, of which nothing was stored yet; or no WAL at all.
      store.#written = store.#flushed = all.length > 0 ? (store.#history.parents.at(-1)?.switchpoint ?? null) : null;
      return store;
    }
    const end = await endOf(dir, timeline, last, segmentSize, BigInt(systemIdentifier), store.#history);
    // What the scan saw may be in the kernel's memory only.
    for (const segment of all) {
      if (segment.timeline === timeline && segment.start + BigInt(segmentSize) >= end && segment.start <= last.start) syncFile(join(dir, segment.name));
    }
    fsyncDir(dir);
    store.#written = store.#flushed = end;
    return store;
  }

  get segmentSize(): number {
    return this.state.value.segmentSize;
  }
  get timeline(): number {
    return this.#history.timeline;
  }
  /**
   * The timeline of the last byte: one that was gone over to, and of which nothing has arrived yet, adds nothing to what its
   * parent had. A standby that has as much could otherwise never be found to have it.
   */
  get arrivedOn(): number {
    const flushed = this.flushed ?? 0n;
    return timelineSpans(this.#history).findLast(({ begin }) => begin < flushed)?.timeline ?? this.timeline;
  }
  get history(): TimelineHistory {
    return this.#history;
  }
  /** Everything before this is durable; null while there is no WAL at all. */
  get flushed(): Lsn | null {
    return this.#flushed;
  }
  get written(): Lsn | null {
    return this.#written;
  }

  /** Calls back after `flushed` or the timeline has changed. Returns how to stop it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The first WAL ever: begins at a segment's start. */
  begin(history: TimelineHistory, start: Lsn): void {
    if (this.#flushed !== null) throw new PgorbitError('internal', 'the logger already has WAL');
    this.state.save({ timeline: history.timeline });
    this.#history = history;
    this.#written = this.#flushed = segmentStart(start, this.segmentSize);
    this.#changed();
  }

  /** Appends at `lsn`, which must be where the last write ended. */
  write(lsn: Lsn, data: Uint8Array): void {
    this.#checkSound();
    if (lsn !== this.#written) throw new PgorbitError('wal-invalid', `WAL came for ${formatLsn(lsn)}, and ${formatLsn(this.#written ?? 0n)} was due`);
    let at = 0;
    while (at < data.length) {
      const position: Lsn = this.#written!;
      const { segmentSize } = this;
      if (this.#fd === null) this.#open(position);
      const offset = Number(position - this.#fdStart);
      const length = Math.min(data.length - at, segmentSize - offset);
      const done = writeSync(this.#fd!, data, at, length, offset);
      at += done;
      this.#written = position + BigInt(done);
      if (offset + done === segmentSize) this.#closeFull();
    }
  }

  /** Makes all that was written durable. Returns the new `flushed`. After a failed fsync it throws until `rollBack`. */
  flush(): Lsn {
    this.#checkSound();
    if (this.#written !== this.#flushed) {
      this.#sync();
      this.#flushed = this.#written;
      this.#changed();
    }
    return this.#flushed!;
  }

  /** After a failed write or fsync: forgets what is not durable. Throws while the disk still refuses. */
  rollBack(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
    if (this.#suspect !== null && this.#flushed !== null) this.#zero(this.#flushed, this.#suspect);
    this.#suspect = null;
    this.#written = this.#flushed;
  }

  /** Cuts off what lies at and after `lsn` on the present timeline: it is not in the new history. */
  truncate(lsn: Lsn): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
    for (const segment of this.segments().toReversed()) {
      if (segment.timeline === this.timeline && segment.start >= lsn) unlinkSync(join(this.dir, segment.name));
    }
    fsyncDir(this.dir);
    if (lsn > segmentStart(lsn, this.segmentSize)) this.#zero(lsn, segmentStart(lsn, this.segmentSize) + BigInt(this.segmentSize));
    this.#written = this.#flushed = lsn;
    this.#changed();
  }

  /**
   * Goes over to the timeline that begins exactly at the end of the WAL. Its first segment repeats what the old
   * timeline wrote of it, as XLogInitNewTimeline does.
   */
  switchTimeline(history: TimelineHistory): void {
    const at = this.flush();
    if (history.parents.at(-1)?.switchpoint !== at || history.parents.at(-1)?.timeline !== this.timeline) {
      throw new PgorbitError('wal-invalid', `timeline ${history.timeline} does not begin at ${formatLsn(at)} of timeline ${this.timeline}`);
    }
    const start = segmentStart(at, this.segmentSize);
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
    if (start < at) {
      const from = openSync(join(this.dir, segmentName(this.timeline, start, this.segmentSize)), 'r');
      const to = this.#create(segmentName(history.timeline, start, this.segmentSize));
      try {
        copy(from, to, segmentOffset(at, this.segmentSize));
        zero(to, segmentOffset(at, this.segmentSize), this.segmentSize);
        fsyncSync(to);
      } finally {
        closeSync(from);
        closeSync(to);
      }
      fsyncDir(this.dir);
    }
    this.state.save({ timeline: history.timeline });
    this.#history = history;
    this.#changed();
  }

  /** Keeps a history file; durable when it returns. */
  saveHistory(timeline: number, text: string): TimelineHistory {
    const history = parseHistory(timeline, text);
    const file = join(this.dir, historyFileName(timeline));
    writeFileSync(`${file}.new`, text);
    syncFile(`${file}.new`);
    renameSync(`${file}.new`, file);
    fsyncDir(this.dir);
    return history;
  }

  /** The content of a history file, or null. */
  historyText(timeline: number): Buffer | null {
    try {
      return readFileSync(join(this.dir, historyFileName(timeline)));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  /** By position, then timeline. */
  segments(): StoredSegment[] {
    const found: StoredSegment[] = [];
    for (const name of readdirSync(this.dir)) {
      const id = this.segmentSize > 0 ? parseSegmentName(name, this.segmentSize) : null;
      if (id && id.timeline <= this.state.value.timeline) found.push({ name, ...id, modifiedMs: statSync(join(this.dir, name)).mtimeMs });
    }
    return found.sort((a, b) => (a.start === b.start ? a.timeline - b.timeline : a.start < b.start ? -1 : 1));
  }

  /** True while a segment of this name is stored. */
  has(name: string): boolean {
    return existsSync(join(this.dir, name));
  }

  /** Takes segments away; as many as wanted are kept for use again. */
  remove(names: string[]): void {
    for (const name of names) {
      if (!this.spares.put(name)) unlinkSync(join(this.dir, name));
    }
    if (names.length > 0) fsyncDir(this.dir);
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }

  /** To fsync the same pages again would succeed without their having been written: the kernel tells of a failure once. */
  #checkSound(): void {
    if (this.#suspect !== null) throw new PgorbitError('internal', 'WAL after a failed fsync was used before it was repaired');
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Opens the segment that `position` lies in; none is open. */
  #open(position: Lsn): void {
    const start = segmentStart(position, this.segmentSize);
    const name = segmentName(this.timeline, start, this.segmentSize);
    try {
      this.#fd = openSync(join(this.dir, name), 'r+');
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      this.#fd = this.#create(name);
      fsyncDir(this.dir);
    }
    this.#fdStart = start;
  }

  /** A segment of full size: a spare, whose pages may carry old addresses, or a new sparse one. */
  #create(name: string): number {
    const spare = this.spares.take(name);
    if (spare !== null) return spare;
    const fd = openSync(join(this.dir, name), 'w+', 0o600);
    ftruncateSync(fd, this.segmentSize);
    fsyncSync(fd);
    return fd;
  }

  #closeFull(): void {
    this.#sync();
    closeSync(this.#fd!);
    this.#fd = null;
    this.#flushed = this.#written;
    this.#changed();
  }

  #sync(): void {
    if (this.#fd === null) return;
    try {
      fdatasyncSync(this.#fd);
    } catch (error) {
      this.#suspect = this.#written;
      throw error;
    }
  }

  /** Overwrites [from, to), within one segment, and makes that durable. */
  #zero(from: Lsn, to: Lsn): void {
    if (from >= to) return;
    const start = segmentStart(from, this.segmentSize);
    const fd = openSync(join(this.dir, segmentName(this.timeline, start, this.segmentSize)), 'r+');
    try {
      zero(fd, Number(from - start), Number(to - start));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
}

/**
 * The end of the last whole record, read forward from before the last segment: all earlier ones were fsynced whole. The
 * last one may have holes after a power failure, so nothing beyond the first may count.
 */
async function endOf(dir: string, timeline: number, last: StoredSegment, segmentSize: number, systemIdentifier: bigint, history: TimelineHistory): Promise<Lsn> {
  const began = history.parents.at(-1)?.switchpoint ?? 0n;
  const least = began > last.start ? began : last.start;
  try {
    const found = await findWalEnd({ walDir: dir, timeline, from: last.start, segmentSize, systemIdentifier });
    // What the old timeline left before the switch point may end in a record that was cut off there.
    return found.end < began ? began : found.end;
  } catch (error) {
    if (error instanceof PgorbitError && error.code === 'wal-invalid') return least;
    throw error;
  }
}

function syncFile(file: string): void {
  const fd = openSync(file, 'r+');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function zero(fd: number, from: number, to: number): void {
  let at = from;
  while (at < to) at += writeSync(fd, ZEROS, 0, Math.min(ZEROS.length, to - at), at);
}

function copy(from: number, to: number, length: number): void {
  const buffer = Buffer.allocUnsafe(1 << 20);
  for (let at = 0; at < length; ) {
    const got = readSync(from, buffer, 0, Math.min(buffer.length, length - at), at);
    if (got === 0) throw new PgorbitError('wal-invalid', 'a segment ended early while it was copied to its new timeline');
    for (let put = 0; put < got; ) put += writeSync(to, buffer, put, got - put, at + put);
    at += got;
  }
}
