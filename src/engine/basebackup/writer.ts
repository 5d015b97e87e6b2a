/** Writes the files of a base backup as they arrive: a few at a time, in large pieces, with bounded memory. */
import { chownSync, constants, mkdirSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { OsUser } from '../osuser.ts';
import type { Slabs } from './slabs.ts';

/** Node has four threads for file operations, and a slow disk can hold each for long: leave one to the rest of the agent. */
const FILES_AT_ONCE = 3;
/** A write is worth its way through the thread pool from so many bytes on. */
const WRITE_BYTES = 512 * 1024;
/** What a file costs in memory beside its bytes, roughly: empty files too must not pile up without bound. */
const FILE_COST = 4096;
/** writev(2) takes at most so many pieces (IOV_MAX). */
const WRITE_PIECES = 1024;

export class TreeWriter {
  readonly #root: Buffer;
  readonly #owner: OsUser | null;
  readonly #memory: Slabs;
  readonly #onWritten: () => void;
  readonly #onFailure: (error: unknown) => void;
  readonly #running = new Set<Promise<void>>();
  readonly #open = new Set<FileSink>();
  readonly #waiting: (() => void)[] = [];
  #slots = FILES_AT_ONCE;
  #backlog = 0;
  #failed = false;

  /**
   * @param memory is where the pieces lie; they are held there until they are written.
   * @param onWritten is called when the backlog has become smaller.
   * @param onFailure gets the first error that a write ends with; nothing is written any more then.
   */
  constructor(root: string, owner: OsUser | null, memory: Slabs, onWritten: () => void, onFailure: (error: unknown) => void) {
    this.#root = Buffer.from(`${root}/`);
    this.#owner = owner;
    this.#memory = memory;
    this.#onWritten = onWritten;
    this.#onFailure = onFailure;
  }

  /** Bytes that were added and are not written yet, and something for each file. */
  get backlog(): number {
    return this.#backlog;
  }

  /** Makes a folder, mode 0700. `path` is relative, one char a byte (Latin-1). Throws system errors. */
  folder(path: string): void {
    const full = this.#full(path);
    mkdirSync(full, { mode: 0o700 });
    if (this.#owner) chownSync(full, this.#owner.uid, this.#owner.gid);
  }

  /** Begins a new file, mode 0600. */
  file(path: string): FileSink {
    this.#backlog += FILE_COST;
    const sink = new FileSink((piece) => {
      this.#memory.hold(piece);
      this.#backlog += piece.length;
    });
    const done = this.#write(this.#full(path), sink).finally(() => this.#running.delete(done));
    this.#running.add(done);
    return sink;
  }

  /** Resolves when every file is closed. After `abandon`, or a failure, they are closed as they are. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** Writes no more; a file that was not ended ends here. */
  abandon(): void {
    this.#failed = true;
    for (const wake of this.#waiting.splice(0)) wake();
    for (const sink of this.#open) sink.end();
  }

  async #write(path: Buffer, sink: FileSink): Promise<void> {
    this.#open.add(sink);
    try {
      await this.#slot();
      if (!this.#failed) await this.#writeAll(path, sink);
    } catch (error) {
      if (!this.#failed) {
        this.abandon();
        this.#onFailure(error);
      }
    } finally {
      this.#open.delete(sink);
      this.#slots++;
      this.#waiting.shift()?.();
      this.#backlog -= FILE_COST;
      this.#onWritten();
    }
  }

  async #slot(): Promise<void> {
    while (this.#slots === 0 && !this.#failed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#slots--;
  }

  async #writeAll(path: Buffer, sink: FileSink): Promise<void> {
    const handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      if (this.#owner) await handle.chown(this.#owner.uid, this.#owner.gid);
      for (;;) {
        const pieces = await sink.take();
        if (pieces.length === 0 || this.#failed) return;
        const bytes = await writePieces(handle, pieces);
        this.#backlog -= bytes;
        for (const piece of pieces) this.#memory.release(piece);
        this.#onWritten();
      }
    } finally {
      await handle.close();
    }
  }

  #full(path: string): Buffer {
    return Buffer.concat([this.#root, Buffer.from(path, 'latin1')]);
  }
}

/** Takes the bytes of one file. */
export class FileSink {
  readonly #onAdded: (piece: Buffer) => void;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #ended = false;
  #wake: (() => void) | null = null;

  constructor(onAdded: (piece: Buffer) => void) {
    this.#onAdded = onAdded;
  }

  add(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    this.#onAdded(piece);
    if (this.#bytes >= WRITE_BYTES) this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** What is to be written next, as soon as it is enough or the end; nothing at the end. */
  async take(): Promise<Buffer[]> {
    if (this.#bytes < WRITE_BYTES && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = null;
    const pieces = this.#pieces.splice(0, WRITE_PIECES);
    this.#bytes -= pieces.reduce((sum, piece) => sum + piece.length, 0);
    return pieces;
  }
}

/** Appends all pieces; a write may take only a part of them. Returns how many bytes that were. */
async function writePieces(handle: FileHandle, pieces: Buffer[]): Promise<number> {
  const total = pieces.reduce((sum, piece) => sum + piece.length, 0);
  let rest = pieces;
  for (let done = 0; done < total; ) {
    const { bytesWritten } = await handle.writev(rest);
    done += bytesWritten;
    if (done < total) rest = behind(rest, bytesWritten);
  }
  return total;
}

function behind(pieces: readonly Buffer[], bytes: number): Buffer[] {
  let skip = bytes;
  return pieces.flatMap((piece) => {
    const skipped = Math.min(skip, piece.length);
    skip -= skipped;
    return skipped === piece.length ? [] : [piece.subarray(skipped)];
  });
}
