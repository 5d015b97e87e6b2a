/** Puts the files of a base backup into an S3 store as they arrive: several at a time, large ones in parts, with bounded memory. */
import { MANIFEST_FILE } from '../../engine/basebackup/manifest.ts';
import type { BackupTarget, Sink, Tree } from '../../engine/basebackup/target.ts';
import { PgorbitError } from '../../errors.ts';
import { keyOf } from '../stored-files.ts';
import type { S3Client, Upload } from './client.ts';

export const UPLOADS_AT_ONCE = 8;
/** What a file costs in memory beside its bytes, roughly. */
const FILE_COST = 4096;
/** The S3 API takes 10,000 parts at most. */
const MOST_PARTS = 9_999;
const MIB = 1 << 20;

export class StoredTarget implements BackupTarget {
  readonly where: string;
  readonly folders: string[] = [];
  readonly #client: S3Client;
  readonly #prefix: string;
  readonly #signal: AbortSignal;

  /** @param prefix of the keys, with a `/` behind it. */
  constructor(client: S3Client, prefix: string, where: string, signal: AbortSignal) {
    this.#client = client;
    this.#prefix = prefix;
    this.where = where;
    this.#signal = signal;
  }

  async prepare(): Promise<void> {
    const { values } = await this.#client.list(this.#prefix, false);
    if (values.length > 0) throw new PgorbitError('not-ours', `${this.where} is not empty: no base backup is written there`, { hint: 'run it again' });
  }

  open(onWritten: () => void, onFailure: (error: unknown) => void): Tree {
    return new Uploader(this.#client, this.#prefix, this.folders, { onWritten, onFailure, signal: this.#signal });
  }

  /** What was put is durable. */
  async sync(): Promise<void> {}

  seal(manifest: Buffer): Promise<void> {
    return this.#client.put(`${this.#prefix}${MANIFEST_FILE}`, manifest);
  }
}

interface Calls {
  onWritten: () => void;
  onFailure: (error: unknown) => void;
  signal: AbortSignal;
}

class Uploader implements Tree {
  readonly limits: { most: number; resume: number };
  readonly #client: S3Client;
  readonly #prefix: string;
  readonly #folders: string[];
  readonly #calls: Calls;
  readonly #running = new Set<Promise<void>>();
  readonly #uploads = new Set<Upload>();
  readonly #waiting: (() => void)[] = [];
  #slots = UPLOADS_AT_ONCE;
  #backlog = 0;
  #failed = false;

  constructor(client: S3Client, prefix: string, folders: string[], calls: Calls) {
    this.#client = client;
    this.#prefix = prefix;
    this.#folders = folders;
    this.#calls = calls;
    this.limits = { most: UPLOADS_AT_ONCE * client.partBytes, resume: (UPLOADS_AT_ONCE - 2) * client.partBytes };
  }

  get backlog(): number {
    return this.#backlog;
  }

  folder(path: string): void {
    this.#folders.push(path);
  }

  file(path: string, size: number): Sink {
    const key = `${this.#prefix}${keyOf(path)}`;
    if (size <= this.#client.partBytes) return this.#collect(size, size, (bytes) => this.#run(bytes, () => this.#client.put(key, bytes)));
    const usual = this.#client.partBytes;
    const partBytes = size <= usual * MOST_PARTS ? usual : Math.ceil(size / MOST_PARTS / MIB) * MIB;
    const parts: Promise<void>[] = [];
    let upload: Promise<Upload> | null = null;
    const begin = async (): Promise<Upload> => {
      const begun = await this.#client.upload(key);
      this.#uploads.add(begun);
      return begun;
    };
    return this.#collect(size, partBytes, (bytes, number, last) => {
      parts.push(this.#run(bytes, async () => (await (upload ??= begin())).part(number, bytes)));
      if (!last) return;
      const before = [...parts];
      this.#track(Promise.all(before).then(() => this.#attempt(async () => {
        const whole = await upload!;
        await whole.complete(size);
        this.#uploads.delete(whole);
      })));
    });
  }

  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
    if (!this.#failed) return;
    // What cannot be reached now is found by the next backup, or ended by the bucket's rule for uploads that were left.
    await Promise.allSettled([...this.#uploads].map((one) => one.abort()));
    this.#uploads.clear();
  }

  abandon(): void {
    this.#failed = true;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Copies what comes, because the memory that it came in is used again, and hands it on part by part; an empty file is one part. */
  #collect(size: number, partBytes: number, hand: (bytes: Buffer, number: number, last: boolean) => void): Sink {
    let left = size;
    let number = 0;
    let filled = 0;
    let part = Buffer.allocUnsafeSlow(Math.min(left, partBytes));
    const next = (): void => {
      left -= part.length;
      hand(part, ++number, left === 0);
      filled = 0;
      part = Buffer.allocUnsafeSlow(Math.min(left, partBytes));
    };
    return {
      add: (piece) => {
        if (this.#failed) return;
        for (let at = 0; at < piece.length; ) {
          const count = piece.copy(part, filled, at);
          at += count;
          filled += count;
          if (filled === part.length) next();
        }
      },
      end: () => {
        if (size === 0 && !this.#failed) next();
      },
    };
  }

  /** Never rejects: the first failure ends all. */
  #run(bytes: Buffer, work: () => Promise<void>): Promise<void> {
    const cost = bytes.length + FILE_COST;
    this.#backlog += cost;
    return this.#track(this.#inSlot(work).finally(() => {
      this.#backlog -= cost;
      this.#calls.onWritten();
    }));
  }

  async #inSlot(work: () => Promise<void>): Promise<void> {
    while (this.#slots === 0 && !this.#failed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#slots--;
    try {
      await this.#attempt(work);
    } finally {
      this.#slots++;
      this.#waiting.shift()?.();
    }
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    if (this.#failed) return;
    try {
      this.#calls.signal.throwIfAborted();
      await work();
    } catch (error) {
      if (this.#failed) return;
      this.abandon();
      this.#calls.onFailure(error);
    }
  }

  #track(work: Promise<void>): Promise<void> {
    const done = work.finally(() => this.#running.delete(done));
    this.#running.add(done);
    return done;
  }
}
