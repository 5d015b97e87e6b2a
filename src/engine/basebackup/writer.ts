/** Writes the files of a base backup as they arrive: a few at a time, in large pieces, with bounded memory. */
import { chownSync, constants, mkdirSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { OsUser } from '../osuser.ts';
import type { Slabs } from './slabs.ts';
import type { Sink, Tree } from './target.ts';

/** Node has four threads for file operations, and a slow disk can hold each for long: leave one to the rest of the agent. */
const FILES_AT_ONCE = 2;
/**
 * Written to a file, so many bytes go on to the disk while more arrive: else gigabytes wait for the end, because the
 * kernel begins by itself when a tenth of the memory is waiting (vm.dirty_background_ratio). One file at a time.
 */
const WRITE_BACK_BYTES = 32 * 1024 * 1024;
/** What a file costs in memory beside its bytes, roughly: empty files too must not pile up without bound. */
const FILE_COST = 4096;
/** The disk gets so far behind before the socket has to wait, and catches up so far before it goes on. */
const BACKLOG = { most: 16 * 1024 * 1024, resume: 8 * 1024 * 1024 };

export class TreeWriter implements Tree {
  readonly limits = BACKLOG;
  readonly #root: Buffer;
  readonly #owner: OsUser | null;
  readonly #memory: Slabs;
  readonly #onWritten: () => void;
  readonly #onFailure: (error: unknown) => void;
  readonly #running = new Set<Promise<void>>();
  readonly #open = new Set<FileSink>();
  readonly #waiting: (() => void)[] = [];
  #slots = FILES_AT_ONCE;
  #writesBack = false;
  #backlog = 0;
  #failed = false;

  /**
   * @param memory is where the pieces are copied to until they are written.
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
    this.#memory.beginPage();
    const sink = new FileSink(this.#memory, (bytes) => {
      this.#backlog += bytes;
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
      this.#fail(error);
    } finally {
      this.#open.delete(sink);
      this.#slots++;
      this.#waiting.shift()?.();
      this.#backlog -= FILE_COST;
      this.#onWritten();
    }
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.abandon();
    this.#onFailure(error);
  }

  async #slot(): Promise<void> {
    while (this.#slots === 0 && !this.#failed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#slots--;
  }

  async #writeAll(path: Buffer, sink: FileSink): Promise<void> {
    const handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    let writingBack = Promise.resolve();
    try {
      if (this.#owner) await handle.chown(this.#owner.uid, this.#owner.gid);
      let ahead = 0;
      for (;;) {
        const piece = await sink.take();
        if (piece === null || this.#failed) return;
        await append(handle, piece);
        this.#backlog -= piece.length;
        this.#memory.release(piece);
        this.#onWritten();
        ahead += piece.length;
        if (ahead < WRITE_BACK_BYTES || this.#writesBack) continue;
        ahead = 0;
        writingBack = this.#writeBack(handle);
      }
    } finally {
      await writingBack;
      await handle.close();
    }
  }

  /** Never rejects. */
  async #writeBack(handle: FileHandle): Promise<void> {
    this.#writesBack = true;
    try {
      await handle.datasync();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#writesBack = false;
    }
  }

  #full(path: string): Buffer {
    return Buffer.concat([this.#root, Buffer.from(path, 'latin1')]);
  }
}

/** Takes the bytes of one file. */
export class FileSink implements Sink {
  readonly #memory: Slabs;
  readonly #onAdded: (bytes: number) => void;
  #pieces: Buffer[] = [];
  #ended = false;
  #wake: (() => void) | null = null;

  constructor(memory: Slabs, onAdded: (bytes: number) => void) {
    this.#memory = memory;
    this.#onAdded = onAdded;
  }

  /** Copies `bytes`. */
  add(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const last = this.#pieces.at(-1);
      const piece = this.#memory.copy(at === 0 ? bytes : bytes.subarray(at), last);
      const longer = last !== undefined && piece.buffer === last.buffer && piece.byteOffset === last.byteOffset;
      at += longer ? piece.length - last.length : piece.length;
      if (longer) this.#pieces[this.#pieces.length - 1] = piece;
      else this.#pieces.push(piece);
    }
    this.#onAdded(bytes.length);
    if (this.#pieces.length > 1) this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /**
   * What is to be written next, as soon as it has filled its slab or the file has ended; null at the end. One at a time:
   * a write of megabytes gets pages of megabytes, which a virtual machine often has yet to fetch from its host.
   */
  async take(): Promise<Buffer | null> {
    if (this.#pieces.length < 2 && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = null;
    return this.#pieces.shift() ?? null;
  }
}

/** Appends the piece; a write may take only a part of it. */
async function append(handle: FileHandle, piece: Buffer): Promise<void> {
  for (let done = 0; done < piece.length; ) done += (await handle.write(piece, done)).bytesWritten;
}
