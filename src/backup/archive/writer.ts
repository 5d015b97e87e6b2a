/**
 * Archived WAL: segment files as a server would archive them. The one that is being written has the suffix `.partial`; a
 * whole one is durable, with its checksum beside it, before it gets its name. In a folder all calls are synchronous: the
 * archiver is a process of its own.
 */
import { closeSync, fdatasyncSync, fsyncSync, ftruncateSync, fstatSync, openSync, readFileSync, readdirSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PgorbitError, errnoOf } from '../../errors.ts';
import { historyFileName, type TimelineHistory } from '../../wal/history.ts';
import { type Lsn, formatLsn, parseSegmentName, segmentName, segmentStart } from '../../wal/lsn.ts';
import { fsyncDir } from '../../wal/logger/state.ts';
import { RunningSum } from '../sums.ts';

export const PARTIAL = '.partial';

export interface ArchivePosition {
  timeline: number;
  /** The start of the first segment that is not whole. */
  lsn: Lsn;
}

/**
 * Where an archive goes on, by its names: behind the newest timeline's last whole segment, or at its only part. With
 * `history` only timelines count that lie on it: another may be that of a promotion that was given up. Pure.
 */
export function archiveEnd(names: readonly string[], segmentSize: number, history: TimelineHistory | null = null): ArchivePosition | null {
  let end: ArchivePosition | null = null;
  for (const name of names) {
    const whole = !name.endsWith(PARTIAL);
    const id = parseSegmentName(whole ? name : name.slice(0, -PARTIAL.length), segmentSize);
    if (id === null || (history !== null && id.timeline !== history.timeline && !history.parents.some(({ timeline }) => timeline === id.timeline))) continue;
    const lsn = whole ? id.start + BigInt(segmentSize) : id.start;
    if (end === null || id.timeline > end.timeline || (id.timeline === end.timeline && lsn > end.lsn)) end = { timeline: id.timeline, lsn };
  }
  return end;
}

export interface ArchiveWriter {
  /** For messages. */
  readonly dir: string;
  readonly segmentSize: number;
  readonly timeline: number;
  readonly written: Lsn;
  /** Everything before this is durable. */
  readonly flushed: Lsn;
  /** Is it so far behind that nothing more should come just now? */
  readonly full: boolean;

  /** Where it goes on, on that history where one is given; null for an empty archive. */
  end(history?: TimelineHistory): ArchivePosition | null;
  /** WAL comes from the start of a segment on: what a part of it holds already is written again. */
  begin(at: ArchivePosition): void;
  /** Appends at `lsn`, which must be where the last write ended. Throws `wal-invalid`, and what keeps it from writing. */
  write(lsn: Lsn, data: Uint8Array): void;
  /** Makes what was written durable, if not at once, then soon. */
  flush(): void;
  /** Somebody waits until all that was written is durable. */
  hurry(): void;
  /** Keeps a history file. */
  saveHistory(timeline: number, text: string): void;
  close(): void;
}

export class FolderArchive implements ArchiveWriter {
  readonly full = false;
  readonly dir: string;
  readonly #sumsDir: string;
  readonly segmentSize: number;
  #timeline = 0;
  #fd: number | null = null;
  #start: Lsn = 0n;
  #written: Lsn = 0n;
  #flushed: Lsn = 0n;
  #sum = new RunningSum();

  constructor(dir: string, sumsDir: string, segmentSize: number) {
    this.dir = dir;
    this.#sumsDir = sumsDir;
    this.segmentSize = segmentSize;
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

  end(history: TimelineHistory | null = null): ArchivePosition | null {
    return archiveEnd(readdirSync(this.dir), this.segmentSize, history);
  }

  begin(at: ArchivePosition): void {
    this.close();
    this.#timeline = at.timeline;
    this.#written = this.#flushed = segmentStart(at.lsn, this.segmentSize);
  }

  write(lsn: Lsn, data: Uint8Array): void {
    if (lsn !== this.#written) throw new PgorbitError('wal-invalid', `WAL came for ${formatLsn(lsn)}, and ${formatLsn(this.#written)} was due`);
    for (let at = 0; at < data.length; ) {
      const fd = this.#open();
      const offset = Number(this.#written - this.#start);
      const done = writeSync(fd, data, at, Math.min(data.length - at, this.segmentSize - offset), offset);
      this.#sum.add(data.subarray(at, at + done));
      this.#written += BigInt(done);
      at += done;
      if (offset + done === this.segmentSize) this.#finish();
    }
  }

  hurry(): void {
    this.flush();
  }

  flush(): void {
    if (this.#flushed === this.#written) return;
    if (this.#fd !== null) fdatasyncSync(this.#fd);
    this.#flushed = this.#written;
  }

  /** Keeps a history file; one that is there already stays. */
  saveHistory(timeline: number, text: string): void {
    const file = join(this.dir, historyFileName(timeline));
    try {
      if (readFileSync(file, 'utf8') === text) return;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
    writeWhole(file, text);
    fsyncDir(this.dir);
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }

  get #name(): string {
    return segmentName(this.#timeline, this.#start, this.segmentSize);
  }

  #open(): number {
    if (this.#fd !== null) return this.#fd;
    this.#start = this.#written;
    this.#sum = new RunningSum();
    const file = join(this.dir, `${this.#name}${PARTIAL}`);
    try {
      // What an earlier upstream wrote beyond a fork stays until it is written over.
      this.#fd = openSync(file, 'r+');
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      this.#fd = openSync(file, 'w+', 0o600);
    }
    if (fstatSync(this.#fd).size !== this.segmentSize) ftruncateSync(this.#fd, this.segmentSize);
    return this.#fd;
  }

  /** The checksum first: a whole segment is never without. */
  #finish(): void {
    fsyncSync(this.#fd!);
    this.close();
    writeWhole(join(this.#sumsDir, this.#name), `${this.#sum.hex()}\n`);
    fsyncDir(this.#sumsDir);
    renameSync(join(this.dir, `${this.#name}${PARTIAL}`), join(this.dir, this.#name));
    fsyncDir(this.dir);
    this.#flushed = this.#written;
  }
}

function writeWhole(file: string, text: string): void {
  const aside = `${file}.tmp`;
  writeFileSync(aside, text, { mode: 0o600, flush: true });
  renameSync(aside, file);
}
