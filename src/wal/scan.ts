/**
 * Finds where the WAL of a stopped server ends: the position that its crash recovery would replay to, and so the
 * position to which a successor has to replay before it may be promoted (lab: failover on the volume). Reads only.
 */
import { join } from 'node:path';
import { PgorbitError } from '../errors.ts';
import { SegmentReader, readFirstHeader, readHistory, segmentsOn } from './files.ts';
import { timelineSpans } from './history.ts';
import { type Lsn, formatLsn, segmentEnd, segmentOffset, segmentStart } from './lsn.ts';
import { LONG_HEADER, type PageHeader, WAL_PAGE, decodePageHeader, firstRecordOffset, versionOfMagic } from './page.ts';
import { RECORD_HEADER } from './record.ts';
import { RecordWalker, type WalStop } from './walker.ts';

/** `no-segment`: the next file is not there. `short`: the file ends before the segment does. */
export type ScanStop = WalStop | 'no-segment' | 'short';

export interface FindWalEndOptions {
  /** A pg_wal folder that nobody writes to any more. */
  walDir: string;
  /** The timeline that its server was on; ancestors are found through its history file. */
  timeline: number;
  /**
   * A position that is known to be in the WAL: where a standby has replayed or received to, or the redo point of
   * pg_control. Best a record's boundary; any other is taken back to the record that holds it.
   */
  from: Lsn;
  /** Bytes. */
  segmentSize: number;
  /** Refuses the WAL of any other database system; without it, of any other than the first segment's. */
  systemIdentifier?: bigint | undefined;
  onProgress?: (progress: { position: Lsn; records: number }) => void;
  signal?: AbortSignal | undefined;
}

export interface WalEnd {
  /** The end of the last valid record: what pg_last_wal_replay_lsn() reports after replaying it. */
  end: Lsn;
  /** The start of that record. */
  last: Lsn;
  /** The timeline of the last page that was read. */
  timeline: number;
  /** Where reading began: the last record that starts before `from`, where its segment is still there. */
  start: Lsn;
  /** Valid records from `start` on. */
  records: number;
  /** From `start` to `end`. */
  bytes: number;
  stop: ScanStop;
  /**
   * A segment after the end that nevertheless carries its own address, or null. After a crash of PostgreSQL alone
   * there is none; after a power failure it may hold writes that were never flushed. Anything else means that WAL
   * before it was damaged or lost.
   */
  laterSegment: string | null;
}

const CHUNK = 1 << 20;

/**
 * Reads from `from` to the last valid record. Where the end comes out before `from`, nothing whole is there at
 * `from`. Throws PgorbitError `wal-invalid` when no record is found, when a file cannot be read, or when the WAL is
 * another system's; throws the signal's reason when it aborts.
 */
export async function findWalEnd(options: FindWalEndOptions): Promise<WalEnd> {
  const found = await scan(options, [startsBefore, startsAfter]);
  if (found !== null) return found;
  throw new PgorbitError('wal-invalid', `${options.walDir} has no valid WAL record at or before ${formatLsn(options.from)} on timeline ${options.timeline}`, {
    hint: 'check that this is the pg_wal folder of the right server, and the timeline',
  });
}

/** As findWalEnd, but begins with the first record at or after `from`; null when none is there. */
export async function scanAfter(options: FindWalEndOptions): Promise<WalEnd | null> {
  return await scan(options, [startsAfter]);
}

type Starts = (reader: SegmentReader, options: FindWalEndOptions) => AsyncGenerator<Start>;

async function scan(options: FindWalEndOptions, ways: Starts[]): Promise<WalEnd | null> {
  const reader = new SegmentReader(options.walDir, await readHistory(options.walDir, options.timeline), options.segmentSize);
  try {
    for (const starts of ways) {
      for await (const start of starts(reader, options)) {
        const found = await walk(reader, options, start);
        if (found !== null) return { ...found, laterSegment: await laterSegment(reader, found.end, start) };
      }
    }
    return null;
  } finally {
    await reader.close();
  }
}

interface Start {
  lsn: Lsn;
  magic: number;
  systemIdentifier: bigint;
}

/**
 * Starts of records before `from`, the nearest first, so that the record at `from` is checked against its
 * predecessor. Pages without a valid header are passed over: `from` may lie in what a switch left unused, or in the
 * unwritten rest of the last record.
 */
async function* startsBefore(reader: SegmentReader, options: FindWalEndOptions): AsyncGenerator<Start> {
  const chunk = Buffer.allocUnsafe(CHUNK);
  const page = BigInt(WAL_PAGE);
  const last = options.from === 0n ? 0n : options.from - 1n;
  let top = last - (last % page) + page;
  while (top > 0n) {
    options.signal?.throwIfAborted();
    const segment = segmentStart(top - 1n, reader.segmentSize);
    const bottom = top - segment > BigInt(CHUNK) ? top - BigInt(CHUNK) : segment;
    const got = await reader.read(bottom, chunk.subarray(0, Number(top - bottom)));
    if (got === null) return;
    for (let address = top - page; address >= bottom; address -= page) {
      const start = await startOnPage(reader, options, chunk.subarray(0, got), address, bottom);
      if (start && start.lsn < options.from) yield start;
    }
    top = bottom;
  }
}

/** Starts of records at or after `from`, past what is left of a record that began earlier (XLogFindNextRecord). */
async function* startsAfter(reader: SegmentReader, options: FindWalEndOptions): AsyncGenerator<Start> {
  const chunk = Buffer.allocUnsafe(WAL_PAGE);
  for (let address = options.from - (options.from % BigInt(WAL_PAGE)); ; address += BigInt(WAL_PAGE)) {
    options.signal?.throwIfAborted();
    if ((await reader.read(address, chunk)) !== WAL_PAGE || decodePageHeader(chunk).address !== address) return;
    const start = await startOnPage(reader, options, chunk, address, address);
    if (start && start.lsn >= options.from) yield start;
  }
}

/** The first record of the page at `address`, when the page is valid and a record begins on it. */
async function startOnPage(reader: SegmentReader, options: FindWalEndOptions, chunk: Buffer, address: Lsn, base: Lsn): Promise<Start | null> {
  const at = Number(address - base);
  if (at + WAL_PAGE > chunk.length) return null;
  const header = decodePageHeader(chunk, at);
  if (header.address !== address || versionOfMagic(header.magic) === null) return null;
  const offset = firstRecordOffset(header);
  if (offset >= WAL_PAGE || chunk.readUInt32LE(at + offset) < RECORD_HEADER) return null;
  const first = header.long ? header : await firstHeader(reader, address);
  if (!first?.long) return null;
  checkSystem(reader, options, first, address);
  return { lsn: address + BigInt(offset), magic: header.magic, systemIdentifier: first.long.systemIdentifier };
}

async function firstHeader(reader: SegmentReader, lsn: Lsn): Promise<PageHeader | null> {
  const bytes = Buffer.alloc(LONG_HEADER);
  const got = await reader.read(segmentStart(lsn, reader.segmentSize), bytes);
  return got === LONG_HEADER ? decodePageHeader(bytes) : null;
}

function checkSystem(reader: SegmentReader, options: FindWalEndOptions, header: PageHeader, lsn: Lsn): void {
  const file = reader.path(lsn);
  const { systemIdentifier, segmentSize } = header.long!;
  if (options.systemIdentifier !== undefined && systemIdentifier !== options.systemIdentifier) {
    throw new PgorbitError('wal-invalid', `${file} belongs to the database system ${systemIdentifier}, not ${options.systemIdentifier}`, {
      hint: 'this is the WAL of another cluster',
    });
  }
  if (segmentSize !== options.segmentSize) {
    throw new PgorbitError('wal-invalid', `${file} is from a system with segments of ${segmentSize} bytes, not ${options.segmentSize}`, {
      hint: 'take the segment size from pg_controldata ("Bytes per WAL segment")',
    });
  }
}

/** Walks from `start` to the end; null when not even the first record is valid. */
async function walk(reader: SegmentReader, options: FindWalEndOptions, start: Start): Promise<Omit<WalEnd, 'laterSegment'> | null> {
  const walker = new RecordWalker({
    start: start.lsn,
    segmentSize: reader.segmentSize,
    magic: start.magic,
    systemIdentifier: start.systemIdentifier,
    timelines: new Set(timelineSpans(reader.history).map((span) => span.timeline)),
  });
  let buffers: [Buffer, Buffer] = [Buffer.allocUnsafe(CHUNK), Buffer.allocUnsafe(CHUNK)];
  const first = buffers[0].subarray(0, WAL_PAGE);
  const segment = segmentStart(start.lsn, reader.segmentSize);
  if ((await reader.read(segment, first)) !== WAL_PAGE || walker.checkHeader(first, segment) !== null) return null;
  let stop: ScanStop | null = null;
  let ahead: { at: Lsn; got: Promise<number | null> } | null = null;
  try {
    while (stop === null) {
      options.signal?.throwIfAborted();
      if (walker.skipping) walker.skipToSegment();
      const at = walker.nextPage;
      const wanted = chunkLength(at, reader.segmentSize);
      const into = buffers[0].subarray(0, wanted);
      const got: number | null = ahead?.at === at ? await ahead.got : await settle(ahead, () => reader.read(at, into));
      ahead = null;
      if (got === null) {
        stop = 'no-segment';
        break;
      }
      // The next chunk of the same segment is read while this one is checked.
      const next = at + BigInt(wanted);
      if (got === wanted && segmentOffset(next, reader.segmentSize) !== 0) {
        const size = chunkLength(next, reader.segmentSize);
        const reading = reader.read(next, buffers[1].subarray(0, size));
        reading.catch(() => {}); // awaited in the next round, where it is thrown
        ahead = { at: next, got: reading };
      }
      if (!walker.feed(buffers[0].subarray(0, got - (got % WAL_PAGE)))) stop = walker.stop;
      else if (got < wanted && !walker.skipping) stop = 'short';
      buffers = [buffers[1], buffers[0]];
      options.onProgress?.({ position: walker.end, records: walker.records });
    }
  } finally {
    await ahead?.got.catch(() => {});
  }
  if (walker.records === 0) return null;
  return {
    end: walker.end,
    last: walker.last,
    timeline: walker.timeline,
    start: start.lsn,
    records: walker.records,
    bytes: Number(walker.end - start.lsn),
    stop,
  };
}

/** Bytes to read at `at`: to the next multiple of CHUNK, which never crosses a segment. */
function chunkLength(at: Lsn, segmentSize: number): number {
  return Math.min(CHUNK - Number(at % BigInt(CHUNK)), Number(segmentEnd(at, segmentSize) - at));
}

/** A read-ahead that turned out useless still has to end before its file is closed. */
async function settle<T>(ahead: { got: Promise<unknown> } | null, read: () => Promise<T>): Promise<T> {
  await ahead?.got.catch(() => {});
  return await read();
}

async function laterSegment(reader: SegmentReader, end: Lsn, start: Start): Promise<string | null> {
  for (const segment of await segmentsOn(reader)) {
    if (segment.start <= end) continue;
    const header = await readFirstHeader(join(reader.walDir, segment.name));
    if (header?.long && header.magic === start.magic && header.address === segment.start && header.long.systemIdentifier === start.systemIdentifier) return segment.name;
  }
  return null;
}
