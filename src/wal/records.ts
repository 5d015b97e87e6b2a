/** Reads the records of a stopped server's WAL one after the other. */
import { PgorbitError } from '../errors.ts';
import { type SegmentReader, readFirstHeader } from './files.ts';
import { timelineSpans } from './history.ts';
import { type Lsn, formatLsn, segmentEnd, segmentStart } from './lsn.ts';
import { WAL_PAGE, decodePageHeader, firstRecordOffset } from './page.ts';
import type { ScanStop } from './scan.ts';
import { RecordWalker, type WalkedRecord } from './walker.ts';

export interface ReadRecordsOptions {
  /** A record's first byte. */
  start: Lsn;
  systemIdentifier: bigint;
  onRecord: (record: WalkedRecord) => void;
  /** Reading may end where a record begins here or later; some records after it may be told of. */
  until?: Lsn;
  signal: AbortSignal;
}

const CHUNK = 1 << 20;

/**
 * Reads from `start` to the last valid record. Throws PgorbitError `wal-invalid` when no record is at `start` or a
 * file cannot be read; throws the signal's reason when it aborts.
 */
export async function readRecords(reader: SegmentReader, options: ReadRecordsOptions): Promise<{ end: Lsn; stop: ScanStop | null }> {
  const { start, until, systemIdentifier, onRecord, signal } = options;
  const header = await readFirstHeader(reader.path(start));
  const walker = new RecordWalker({
    start, segmentSize: reader.segmentSize, magic: header?.magic ?? 0, systemIdentifier, onRecord,
    timelines: new Set(timelineSpans(reader.history).map((span) => span.timeline)),
  });
  const buffer = Buffer.allocUnsafe(CHUNK);
  let stop: ScanStop | null = null;
  while (stop === null && (until === undefined || walker.end < until)) {
    signal.throwIfAborted();
    if (walker.skipping) walker.skipToSegment();
    const at = walker.nextPage;
    const wanted = Math.min(CHUNK - Number(at % BigInt(CHUNK)), Number(segmentEnd(at, reader.segmentSize) - at));
    const got = await reader.read(at, buffer.subarray(0, wanted));
    if (got === null) stop = 'no-segment';
    else if (!walker.feed(buffer.subarray(0, got - (got % WAL_PAGE)))) stop = walker.stop;
    else if (got < wanted && !walker.skipping) stop = 'short';
  }
  if (walker.records === 0) {
    throw new PgorbitError('wal-invalid', `${reader.path(start)} holds no valid WAL record at ${formatLsn(start)}`, {
      hint: 'the WAL there was recycled or damaged: make this member anew from a fresh copy',
    });
  }
  return { end: walker.end, stop };
}

/**
 * Where the first record begins in the segment that holds `lsn`; its end where none does, because one record fills
 * it. Null where the segment is not there or was recycled.
 */
export async function firstRecordIn(reader: SegmentReader, lsn: Lsn): Promise<Lsn | null> {
  const page = Buffer.allocUnsafe(WAL_PAGE);
  const end = segmentEnd(lsn, reader.segmentSize);
  for (let address = segmentStart(lsn, reader.segmentSize); address < end; address += BigInt(WAL_PAGE)) {
    if ((await reader.read(address, page)) !== WAL_PAGE) return null;
    const header = decodePageHeader(page);
    if (header.address !== address) return null;
    const offset = firstRecordOffset(header);
    if (offset < WAL_PAGE) return address + BigInt(offset);
  }
  return end;
}
