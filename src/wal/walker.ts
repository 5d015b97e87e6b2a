/**
 * Walks WAL record by record and stops where PostgreSQL's recovery would: a pure state machine that is fed pages in
 * order. It makes the checks of XLogDecodeNextRecord and XLogReaderValidatePageHeader (backend/access/transam/
 * xlogreader.c, 15 to 18), but sums checksums as pages pass by, so that a record of a gigabyte needs no buffer.
 *
 * One check is left out: the layout inside a record (DecodeXLogRecord), since bytes whose checksum is right are what
 * the server wrote.
 */
import { CRC32C_INIT, crc32cFinish, crc32cUpdate } from './crc32c.ts';
import { type Lsn, align8 } from './lsn.ts';
import {
  LONG_HEADER, SHORT_HEADER, WAL_PAGE, XLP_ALL_FLAGS, XLP_FIRST_IS_CONTRECORD, XLP_FIRST_IS_OVERWRITE_CONTRECORD, XLP_LONG_HEADER,
} from './page.ts';
import { RECORD_CRC_AT, RECORD_HEAD, RECORD_HEADER, isResourceManager, isSwitch } from './record.ts';

/** Why a walk ended. Each is a place where recovery ends too. */
export type WalStop =
  /** Zeros where a page or a record should begin: never written. */
  | 'zero'
  /** A record's length is below that of its header. */
  | 'length'
  /** No such resource manager. */
  | 'rmgr'
  /** The record does not name the one before it: left over from before a crash. */
  | 'prev'
  /** The record's checksum is wrong: torn, or damaged. */
  | 'crc'
  /** The page does not go on with the record that began before it. */
  | 'contrecord'
  /** Not a WAL page of this major version. */
  | 'magic'
  /** Unknown flags, or the first page of a segment without a long header. */
  | 'page-info'
  /** The page carries another position: a recycled segment that has not been written again. */
  | 'page-address'
  /** The page's timeline goes backwards, or is not in the history. */
  | 'timeline'
  /** The segment belongs to another database system, or has another segment or page size. */
  | 'system';

export interface WalkOptions {
  /** A record's first byte, or a page boundary that a record begins right after. */
  start: Lsn;
  segmentSize: number;
  /** The page magic to insist on; see PAGE_MAGIC. */
  magic: number;
  systemIdentifier: bigint;
  /** The timelines that pages may carry: the one that is read, and its ancestors. */
  timelines: ReadonlySet<number>;
  /** Told of every valid record. */
  onRecord?: (record: WalkedRecord) => void;
}

/** A record whose checksum is right. */
export interface WalkedRecord {
  start: Lsn;
  end: Lsn;
  /** Bytes of the whole record. */
  totalLength: number;
  /** Its first RECORD_HEAD bytes, or all of a shorter one; valid only during the call. */
  head: Uint8Array;
}

export class RecordWalker {
  readonly #options: WalkOptions;
  readonly #sysLow: number;
  readonly #sysHigh: number;
  #stop: WalStop | null = null;
  /** The page that comes next, in two halves: arithmetic on bigints would cost more than the checksums. */
  #pageLow: number;
  #pageHigh: number;
  #firstOffset: number;
  #timeline = 0;
  #skipping = false;

  /** The record in progress: its address, bytes still to come, header so far, running checksum of its data. */
  #recordLow = 0;
  #recordHigh = 0;
  #left = 0;
  readonly #header = new Uint8Array(RECORD_HEADER);
  readonly #headerView = new DataView(this.#header.buffer);
  #gotHeader = 0;
  #crc = CRC32C_INIT;
  readonly #head: Uint8Array | null;
  #gotHead = 0;

  #lastLow = 0;
  #lastHigh = 0;
  #endLow: number;
  #endHigh: number;
  #records = 0;

  constructor(options: WalkOptions) {
    this.#options = options;
    this.#head = options.onRecord ? new Uint8Array(RECORD_HEAD) : null;
    this.#sysLow = Number(options.systemIdentifier & 0xffff_ffffn);
    this.#sysHigh = Number(options.systemIdentifier >> 32n);
    const start = align8(options.start);
    this.#firstOffset = Number(start % BigInt(WAL_PAGE));
    const page = start - BigInt(this.#firstOffset);
    this.#pageLow = Number(page & 0xffff_ffffn);
    this.#pageHigh = Number(page >> 32n);
    this.#endLow = Number(start & 0xffff_ffffn);
    this.#endHigh = Number(start >> 32n);
  }

  /** Why the walk is over, or null while it wants more pages. */
  get stop(): WalStop | null {
    return this.#stop;
  }
  /** Where the last valid record ends and the next would begin (EndRecPtr); the start when there was none. */
  get end(): Lsn {
    return join(this.#endHigh, this.#endLow);
  }
  /** Where the last valid record begins; 0 when there was none. */
  get last(): Lsn {
    return join(this.#lastHigh, this.#lastLow);
  }
  /** Valid records so far. */
  get records(): number {
    return this.#records;
  }
  /** The page to feed next. */
  get nextPage(): Lsn {
    return join(this.#pageHigh, this.#pageLow);
  }
  /** True after XLOG_SWITCH: pages up to the segment's end need not be read; see skipToSegment. */
  get skipping(): boolean {
    return this.#skipping;
  }
  /** The timeline of the newest page. */
  get timeline(): number {
    return this.#timeline;
  }

  /** Goes on at the segment after a switch, without being fed the pages between. */
  skipToSegment(): void {
    const over = this.#pageLow % this.#options.segmentSize;
    if (this.#skipping && over !== 0) this.#advance(this.#options.segmentSize - over);
    this.#skipping = false;
  }

  /**
   * Takes whole pages, the first of which is at `nextPage`. Returns false when the walk is over.
   */
  feed(bytes: Uint8Array): boolean {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + WAL_PAGE <= bytes.length && this.#stop === null; at += WAL_PAGE) {
      if (this.#skipping && this.#pageLow % this.#options.segmentSize !== 0) {
        this.#advance(WAL_PAGE);
        continue;
      }
      this.#skipping = false;
      this.#stop = this.#page(bytes, view, at);
      if (this.#stop === null) this.#advance(WAL_PAGE);
    }
    return this.#stop === null;
  }

  /** Checks a page's header alone, as recovery does with the first page of a segment that it enters in the middle. */
  checkHeader(page: Uint8Array, address: Lsn): WalStop | null {
    const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
    return this.#checkHeader(view, 0, Number(address & 0xffff_ffffn), Number(address >> 32n));
  }

  #advance(bytes: number): void {
    this.#pageLow += bytes;
    if (this.#pageLow > 0xffff_ffff) {
      this.#pageLow -= 0x1_0000_0000;
      this.#pageHigh += 1;
    }
  }

  #checkHeader(view: DataView, at: number, low: number, high: number): WalStop | null {
    const magic = view.getUint16(at, true);
    if (magic !== this.#options.magic) return magic === 0 ? 'zero' : 'magic';
    const info = view.getUint16(at + 2, true);
    if ((info & ~XLP_ALL_FLAGS) !== 0) return 'page-info';
    if ((info & XLP_LONG_HEADER) !== 0) {
      if (view.getUint32(at + 24, true) !== this.#sysLow || view.getUint32(at + 28, true) !== this.#sysHigh) return 'system';
      if (view.getUint32(at + 32, true) !== this.#options.segmentSize || view.getUint32(at + 36, true) !== WAL_PAGE) return 'system';
    } else if (low % this.#options.segmentSize === 0) {
      return 'page-info';
    }
    if (view.getUint32(at + 8, true) !== low || view.getUint32(at + 12, true) !== high) return 'page-address';
    const timeline = view.getUint32(at + 4, true);
    if (timeline < this.#timeline || !this.#options.timelines.has(timeline)) return 'timeline';
    this.#timeline = timeline;
    return null;
  }

  #page(bytes: Uint8Array, view: DataView, at: number): WalStop | null {
    const invalid = this.#checkHeader(view, at, this.#pageLow, this.#pageHigh);
    if (invalid !== null) return invalid;
    const info = view.getUint16(at + 2, true);
    const headerSize = (info & XLP_LONG_HEADER) !== 0 ? LONG_HEADER : SHORT_HEADER;
    const continued = (info & XLP_FIRST_IS_CONTRECORD) !== 0;
    let offset: number;
    if (this.#left > 0 && (info & XLP_FIRST_IS_OVERWRITE_CONTRECORD) === 0) {
      const remaining = view.getUint32(at + 16, true);
      if (!continued || remaining !== this.#left) return 'contrecord';
      const taken = Math.min(this.#left, WAL_PAGE - headerSize);
      const bad = this.#take(bytes, at + headerSize, taken);
      if (bad !== null) return bad;
      if (this.#left > 0) return null;
      offset = headerSize + ((taken + 7) & ~7);
      const wrong = this.#finish(offset);
      if (wrong !== null || this.#skipping) return wrong;
    } else {
      // A record cut off by a crash and replaced by XLOG_OVERWRITE_CONTRECORD is forgotten: what replaced it names
      // the last whole record as its predecessor.
      this.#left = 0;
      offset = this.#firstOffset === 0 ? headerSize : this.#firstOffset;
      if (offset < headerSize || (continued && offset === headerSize)) return 'contrecord';
    }
    this.#firstOffset = 0;
    return this.#recordsFrom(bytes, view, at, offset);
  }

  /** The records that begin on the page at `at`, from `offset` on. */
  #recordsFrom(bytes: Uint8Array, view: DataView, at: number, start: number): WalStop | null {
    let offset = start;
    while (offset < WAL_PAGE) {
      const total = view.getUint32(at + offset, true);
      if (total < RECORD_HEADER) return total === 0 ? 'zero' : 'length';
      this.#recordLow = this.#pageLow + offset;
      this.#recordHigh = this.#pageHigh;
      this.#left = total;
      this.#gotHeader = 0;
      this.#gotHead = 0;
      this.#crc = CRC32C_INIT;
      const taken = Math.min(total, WAL_PAGE - offset);
      const bad = this.#take(bytes, at + offset, taken);
      if (bad !== null) return bad;
      if (this.#left > 0) return null;
      offset += (taken + 7) & ~7;
      const wrong = this.#finish(offset);
      if (wrong !== null || this.#skipping) return wrong;
    }
    return null;
  }

  /** Adds `length` bytes to the record in progress; checks its header as soon as it is whole. */
  #take(bytes: Uint8Array, from: number, length: number): WalStop | null {
    let at = from;
    const end = from + length;
    if (this.#head !== null && this.#gotHead < RECORD_HEAD) {
      const piece = bytes.subarray(from, Math.min(end, from + RECORD_HEAD - this.#gotHead));
      this.#head.set(piece, this.#gotHead);
      this.#gotHead += piece.length;
    }
    if (this.#gotHeader < RECORD_HEADER) {
      while (this.#gotHeader < RECORD_HEADER && at < end) this.#header[this.#gotHeader++] = bytes[at++]!;
      if (this.#gotHeader === RECORD_HEADER) {
        const bad = this.#checkRecordHeader();
        if (bad !== null) return bad;
      }
    }
    this.#crc = crc32cUpdate(this.#crc, bytes, at, end);
    this.#left -= length;
    return null;
  }

  #checkRecordHeader(): WalStop | null {
    const header = this.#headerView;
    if (!isResourceManager(header.getUint8(17))) return 'rmgr';
    const low = header.getUint32(8, true);
    const high = header.getUint32(12, true);
    if (this.#records > 0) return low === this.#lastLow && high === this.#lastHigh ? null : 'prev';
    // What came before the first record is not known, except that it came before.
    return high < this.#recordHigh || (high === this.#recordHigh && low < this.#recordLow) ? null : 'prev';
  }

  /** The record in progress has all its bytes; the next could begin at `offset` of this page. */
  #finish(offset: number): WalStop | null {
    const crc = crc32cFinish(crc32cUpdate(this.#crc, this.#header, 0, RECORD_CRC_AT));
    if (crc !== this.#headerView.getUint32(RECORD_CRC_AT, true)) return 'crc';
    this.#records += 1;
    this.#lastLow = this.#recordLow;
    this.#lastHigh = this.#recordHigh;
    this.#endLow = this.#pageLow + offset;
    this.#endHigh = this.#pageHigh;
    if (isSwitch(this.#headerView.getUint8(17), this.#headerView.getUint8(16))) {
      const size = this.#options.segmentSize;
      const over = this.#endLow % size;
      if (over !== 0) this.#endLow += size - over;
      this.#skipping = true;
    }
    if (this.#endLow > 0xffff_ffff) {
      this.#endLow -= 0x1_0000_0000;
      this.#endHigh += 1;
    }
    if (this.#head !== null) {
      const head = this.#head.subarray(0, this.#gotHead);
      this.#options.onRecord?.({ start: this.last, end: this.end, totalLength: this.#headerView.getUint32(0, true), head });
    }
    return null;
  }
}

function join(high: number, low: number): Lsn {
  return (BigInt(high) << 32n) | BigInt(low);
}
