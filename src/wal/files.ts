/** The files of a WAL directory, read-only: which segment holds a position, and its bytes. */
import { type FileHandle, open, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PgorbitError, errnoOf } from '../errors.ts';
import { type TimelineHistory, historyFileName, parseHistory, timelineSpans } from './history.ts';
import { type Lsn, isSegmentSize, parseSegmentName, segmentName, segmentNumber, segmentOffset, segmentStart } from './lsn.ts';
import { LONG_HEADER, type PageHeader, decodePageHeader, versionOfMagic } from './page.ts';

/** The history of `timeline`; one without parents where the file is not there, as PostgreSQL takes it. */
export async function readHistory(walDir: string, timeline: number): Promise<TimelineHistory> {
  const file = join(walDir, historyFileName(timeline));
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { timeline, parents: [] };
    throw unreadable(file, error);
  }
  return parseHistory(timeline, text, file);
}

/**
 * The timeline whose file holds the segment at `start`, for a reader that follows `history`: the newest that had
 * begun by the segment's end, because a new timeline's first segment repeats what its parent wrote of it
 * (XLogFileReadAnyTLI).
 */
export function segmentTimeline(history: TimelineHistory, lsn: Lsn, segmentSize: number): number {
  const number = segmentNumber(lsn, segmentSize);
  let timeline = history.timeline;
  for (const span of timelineSpans(history)) {
    if (span.begin === 0n || segmentNumber(span.begin, segmentSize) <= number) timeline = span.timeline;
  }
  return timeline;
}

/** The names in a WAL directory. Throws PgorbitError `wal-invalid` where it cannot be read. */
export async function walNames(walDir: string): Promise<string[]> {
  try {
    return (await readdir(walDir)).sort();
  } catch (error) {
    throw unreadable(walDir, error);
  }
}

/** The header of a segment file's first page; null when the file is shorter than one. */
export async function readFirstHeader(file: string): Promise<PageHeader | null> {
  const handle = await openFile(file);
  if (handle === null) return null;
  try {
    const bytes = Buffer.alloc(LONG_HEADER);
    const { bytesRead } = await handle.read(bytes, 0, LONG_HEADER, 0);
    return bytesRead < LONG_HEADER ? null : decodePageHeader(bytes);
  } catch (error) {
    throw unreadable(file, error);
  } finally {
    await handle.close();
  }
}

/** What the first readable segment says of all: segment size, system identifier and major version. */
export async function identifyWal(walDir: string): Promise<{ segmentSize: number; systemIdentifier: bigint; version: number } | null> {
  for (const name of await walNames(walDir)) {
    if (!/^[0-9A-F]{24}$/.test(name)) continue;
    const header = await readFirstHeader(join(walDir, name));
    const version = header ? versionOfMagic(header.magic) : null;
    if (header?.long && version !== null && isSegmentSize(header.long.segmentSize)) {
      return { segmentSize: header.long.segmentSize, systemIdentifier: header.long.systemIdentifier, version };
    }
  }
  return null;
}

/** Reads segments along one history, keeping the last one open. */
export class SegmentReader {
  readonly walDir: string;
  readonly history: TimelineHistory;
  readonly segmentSize: number;
  #start: Lsn | null = null;
  #handle: FileHandle | null = null;

  constructor(walDir: string, history: TimelineHistory, segmentSize: number) {
    this.walDir = walDir;
    this.history = history;
    this.segmentSize = segmentSize;
  }

  /** The file that holds `lsn`. */
  path(lsn: Lsn): string {
    return join(this.walDir, segmentName(segmentTimeline(this.history, lsn, this.segmentSize), lsn, this.segmentSize));
  }

  /**
   * Fills `into` from `lsn` on, within one segment. Resolves to the bytes read, fewer than asked for where the file
   * ends early, and null when there is no such file. Any other trouble throws: an unreadable block must never pass
   * for the end of the WAL.
   */
  async read(lsn: Lsn, into: Uint8Array): Promise<number | null> {
    const start = segmentStart(lsn, this.segmentSize);
    if (this.#start !== start) {
      await this.close();
      this.#handle = await openFile(this.path(lsn));
      this.#start = start;
    }
    if (this.#handle === null) return null;
    const offset = segmentOffset(lsn, this.segmentSize);
    const wanted = Math.min(into.length, this.segmentSize - offset);
    let got = 0;
    while (got < wanted) {
      const { bytesRead } = await this.#handle.read(into, got, wanted - got, offset + got).catch((error: unknown) => {
        throw unreadable(this.path(lsn), error);
      });
      if (bytesRead === 0) break;
      got += bytesRead;
    }
    return got;
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    this.#start = null;
    await handle?.close();
  }
}

/** The segments of a directory that lie on the history, by position; a `.partial` one is not among them. */
export async function segmentsOn(reader: SegmentReader): Promise<{ name: string; start: Lsn }[]> {
  const found: { name: string; start: Lsn }[] = [];
  for (const name of await walNames(reader.walDir)) {
    const id = parseSegmentName(name, reader.segmentSize);
    if (id && id.timeline === segmentTimeline(reader.history, id.start, reader.segmentSize)) found.push({ name, start: id.start });
  }
  return found.sort((a, b) => (a.start < b.start ? -1 : 1));
}

async function openFile(file: string): Promise<FileHandle | null> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw unreadable(file, error);
  }
}

function unreadable(file: string, cause: unknown): PgorbitError {
  return new PgorbitError('wal-invalid', `cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`, {
    hint: 'look at the permissions, and at the kernel log for errors of the disk below',
    cause,
  });
}
