/**
 * Segment files for what comes next: old ones kept for use again, and one filled with zeros ahead of time. To overwrite
 * blocks that are there already, fdatasync has no metadata to write: in a file that grows each commit waits for the
 * file system's journal as well (wal_init_zero and wal_recycle of PostgreSQL are for the same).
 */
import { openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Bell, sleep } from '../../lifecycle.ts';

const SPARE = /^spare\.\d+$/;
const UNFINISHED = 'spare.new';
/**
 * Written at a time. The kernel keeps what one call writes in folios as large, and ext4 looks at each block of a folio
 * whenever a part of it is written: after pieces of 1 MB a commit's write took twice as long.
 */
const PIECE = Buffer.alloc(128 << 10);
/** Made durable at a time. */
const BATCH = 1 << 20;
/** Between two batches, so that commits have the disk: 16 MB take half a second or so. WAL that comes faster goes to files that grow. */
const REST_MS = 20;
/** Whatever went wrong is tried again after this, or when the next spare is taken. */
const RETRY_MS = 60_000;

export class Spares {
  readonly #dir: string;
  readonly #max: number;
  readonly #taken = new Bell();
  #count: number;

  /** @param max how many old segments are kept */
  constructor(dir: string, max: number) {
    this.#dir = dir;
    this.#max = max;
    rmSync(join(dir, UNFINISHED), { force: true });
    this.#count = this.#names().length;
  }

  /** Gives a spare the name `name`, and returns it open for reading and writing; null where there is none. */
  take(name: string): number | null {
    this.#taken.ring();
    const [spare] = this.#count > 0 ? this.#names() : [];
    if (spare === undefined) return null;
    renameSync(join(this.#dir, spare), join(this.#dir, name));
    this.#count -= 1;
    return openSync(join(this.#dir, name), 'r+');
  }

  /** Keeps the segment `name`, which nobody needs any more; false, and the file stays, where there are enough. */
  put(name: string): boolean {
    if (this.#count >= this.#max) return false;
    this.#add(name);
    return true;
  }

  /** Has one ready, of `size()` bytes once that is above 0, until the signal comes. @param onError is told what prevents it. */
  async keepReady(size: () => number, signal: AbortSignal, onError: (error: unknown) => void): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#max > 0 && this.#count === 0 && size() > 0) await this.#prepare(size(), signal);
      } catch (error) {
        onError(error);
      }
      await this.#taken.wait(RETRY_MS, signal);
    }
  }

  async #prepare(size: number, signal: AbortSignal): Promise<void> {
    const file = join(this.#dir, UNFINISHED);
    const handle = await open(file, 'w', 0o600);
    try {
      for (let at = 0; at < size; at += PIECE.length) {
        await handle.write(PIECE, 0, Math.min(PIECE.length, size - at), at);
        if ((at + PIECE.length) % BATCH !== 0 && at + PIECE.length < size) continue;
        await handle.datasync();
        await sleep(REST_MS, signal);
        if (signal.aborted) return;
      }
    } catch (error) {
      rmSync(file, { force: true }); // its space is for WAL that is here already
      throw error;
    } finally {
      await handle.close();
    }
    this.#add(UNFINISHED);
  }

  #add(name: string): void {
    const taken = new Set(this.#names());
    let number = 0;
    while (taken.has(`spare.${number}`)) number += 1;
    renameSync(join(this.#dir, name), join(this.#dir, `spare.${number}`));
    this.#count += 1;
  }

  #names(): string[] {
    return readdirSync(this.#dir).filter((name) => SPARE.test(name));
  }
}
