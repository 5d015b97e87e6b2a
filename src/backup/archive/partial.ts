/** The segment that is being written, of which an archive may hold only the beginning. */
import { LONG_HEADER, decodePageHeader, versionOfMagic } from '../../wal/page.ts';
import { isSegmentSize } from '../../wal/lsn.ts';

/** As PostgreSQL wants it: of a segment's full size, which its first page tells, with zeros behind what was written. Pure. */
export function filledUp(written: Buffer): Buffer {
  if (written.length < LONG_HEADER) return written;
  const { magic, long } = decodePageHeader(written);
  if (versionOfMagic(magic) === null || long === null || !isSegmentSize(long.segmentSize) || written.length >= long.segmentSize) return written;
  const whole = Buffer.alloc(long.segmentSize);
  written.copy(whole);
  return whole;
}
