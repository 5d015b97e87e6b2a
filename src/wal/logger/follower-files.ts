/** Reads stored WAL for one follower, on the timeline that it asked for. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../errors.ts';
import { ClientError } from '../../wire/server.ts';
import { timelineSpans } from '../history.ts';
import { type Lsn, segmentEnd, segmentName, segmentOffset, segmentStart } from '../lsn.ts';
import { WAL_PAGE } from '../page.ts';
import type { WalStore } from './store.ts';

export class FollowerFiles {
  readonly #store: WalStore;
  readonly #timeline: number;
  #handle: FileHandle | null = null;
  #name = '';
  #start: Lsn | null = null;

  constructor(store: WalStore, timeline: number) {
    this.#store = store;
    this.#timeline = timeline;
  }

  /**
   * Up to `length` bytes from `lsn` on, within a segment; cut at a page's edge except at `limit`, as walsender does.
   * Throws ClientError 58P01 when the segment is gone.
   */
  async read(lsn: Lsn, length: number, limit: Lsn): Promise<Buffer> {
    const size = this.#store.segmentSize;
    const start = segmentStart(lsn, size);
    if (this.#start !== start) {
      await this.close();
      await this.#open(start);
    }
    let end = lsn + BigInt(length);
    const edge = segmentEnd(lsn, size);
    if (end > edge) end = edge;
    if (end < limit && end - (end % BigInt(WAL_PAGE)) > lsn) end -= end % BigInt(WAL_PAGE);
    const bytes = Buffer.allocUnsafe(Number(end - lsn));
    let got = 0;
    while (got < bytes.length) {
      const { bytesRead } = await this.#handle!.read(bytes, got, bytes.length - got, segmentOffset(lsn, size) + got);
      if (bytesRead === 0) throw this.#gone(this.#name);
      got += bytesRead;
    }
    // A segment that was taken for use again while it was read may have given other bytes (CheckXLogRemoved).
    if (!this.#store.has(this.#name)) throw this.#gone(this.#name);
    return bytes;
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    this.#start = null;
    await handle?.close();
  }

  /** The timeline's own file; in the segment where it was left, the next timeline's repeats it (WalSndSegmentOpen). */
  async #open(start: Lsn): Promise<void> {
    const size = this.#store.segmentSize;
    const spans = timelineSpans(this.#store.history);
    const index = spans.findIndex((span) => span.timeline === this.#timeline);
    const candidates = [this.#timeline];
    const next = spans[index + 1];
    if (next && segmentStart(next.begin, size) === start) candidates.push(next.timeline);
    for (const timeline of candidates) {
      const name = segmentName(timeline, start, size);
      try {
        this.#handle = await open(join(this.#store.dir, name), 'r');
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') continue;
        throw error;
      }
      this.#name = name;
      this.#start = start;
      return;
    }
    throw this.#gone(segmentName(this.#timeline, start, size));
  }

  #gone(name: string): ClientError {
    return new ClientError('58P01', `requested WAL segment ${name} has already been removed`);
  }
}
