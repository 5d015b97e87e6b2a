/** Writes WAL the way the server lays it out, for tests: pages, records that span them, switches, crashes. */
import { crc32c } from '../crc32c.ts';
import { type Lsn, align8 } from '../lsn.ts';
import { LONG_HEADER, PAGE_MAGIC, SHORT_HEADER, WAL_PAGE, XLP_FIRST_IS_CONTRECORD, XLP_FIRST_IS_OVERWRITE_CONTRECORD, XLP_LONG_HEADER } from '../page.ts';
import { RECORD_HEADER } from '../record.ts';

export interface BuilderOptions {
  start: Lsn;
  segmentSize: number;
  timeline?: number;
  systemIdentifier?: bigint;
  version?: 15 | 16 | 17 | 18;
}

export class WalBuilder {
  /** Bytes by page address. */
  readonly pages = new Map<Lsn, Buffer>();
  readonly records: { start: Lsn; end: Lsn }[] = [];
  timeline: number;
  at: Lsn;
  previous: Lsn = 0n;
  readonly #options: Required<BuilderOptions>;

  constructor(options: BuilderOptions) {
    this.#options = { timeline: 1, systemIdentifier: 7n, version: 15, ...options };
    this.timeline = this.#options.timeline;
    this.at = options.start;
  }

  /** Adds a record with `data` bytes behind its header; returns where it starts and ends. */
  record(data: number, fill = 0x5a, kind = { rmid: 10, info: 0 }): { start: Lsn; end: Lsn } {
    const bytes = Buffer.alloc(RECORD_HEADER + data, fill);
    bytes.writeUInt32LE(bytes.length, 0);
    bytes.writeUInt32LE(3, 4);
    bytes.writeBigUInt64LE(this.previous, 8);
    bytes.writeUInt8(kind.info, 16);
    bytes.writeUInt8(kind.rmid, 17);
    bytes.writeUInt16LE(0, 18);
    bytes.writeUInt32LE(crc32c(bytes.subarray(0, 20), crc32c(bytes.subarray(RECORD_HEADER))), 20);
    this.#header(0, 0);
    const start = this.at;
    let done = 0;
    while (done < bytes.length) {
      if (this.at % BigInt(WAL_PAGE) === 0n) this.#header(XLP_FIRST_IS_CONTRECORD, bytes.length - done);
      const take = Math.min(bytes.length - done, WAL_PAGE - Number(this.at % BigInt(WAL_PAGE)));
      bytes.copy(this.#page(this.at), Number(this.at % BigInt(WAL_PAGE)), done, done + take);
      this.at += BigInt(take);
      done += take;
    }
    this.at = align8(this.at);
    this.previous = start;
    const made = { start, end: this.at };
    this.records.push(made);
    return made;
  }

  /** XLOG_SWITCH: the next record begins in the next segment. */
  switch(): Lsn {
    const made = this.record(0, 0, { rmid: 0, info: 0x40 });
    const size = BigInt(this.#options.segmentSize);
    this.at = ((this.at + size - 1n) / size) * size;
    made.end = this.at;
    return this.at;
  }

  /** What recovery does after a record was cut off: the next page starts anew with a marked header. */
  overwriteFrom(page: Lsn, lastWhole: Lsn): void {
    for (const address of this.pages.keys()) if (address >= page) this.pages.delete(address);
    while (this.records.length > 0 && this.records.at(-1)!.start > lastWhole) this.records.pop();
    this.at = page;
    this.previous = lastWhole;
    this.#header(XLP_FIRST_IS_OVERWRITE_CONTRECORD, 0);
  }

  /** The bytes of the segment at `start`; what was not written is zero. */
  segment(start: Lsn): Buffer {
    const bytes = Buffer.alloc(this.#options.segmentSize);
    for (const [address, page] of this.pages) {
      if (address >= start && address < start + BigInt(bytes.length)) page.copy(bytes, Number(address - start));
    }
    return bytes;
  }

  #page(at: Lsn): Buffer {
    return this.pages.get(at - (at % BigInt(WAL_PAGE)))!;
  }

  /** Begins a page when the position is at one's start. */
  #header(flags: number, remaining: number): void {
    if (this.at % BigInt(WAL_PAGE) !== 0n) return;
    const page = Buffer.alloc(WAL_PAGE);
    const long = this.at % BigInt(this.#options.segmentSize) === 0n;
    page.writeUInt16LE(PAGE_MAGIC[this.#options.version]!, 0);
    page.writeUInt16LE(flags | (long ? XLP_LONG_HEADER : 0), 2);
    page.writeUInt32LE(this.timeline, 4);
    page.writeBigUInt64LE(this.at, 8);
    page.writeUInt32LE(remaining, 16);
    if (long) {
      page.writeBigUInt64LE(this.#options.systemIdentifier, 24);
      page.writeUInt32LE(this.#options.segmentSize, 32);
      page.writeUInt32LE(WAL_PAGE, 36);
    }
    this.pages.set(this.at, page);
    this.at += BigInt(long ? LONG_HEADER : SHORT_HEADER);
  }
}
