/** Headers of WAL pages (access/xlog_internal.h); all fields are little-endian on the platforms that pgorbit runs on. */

/** XLOG_BLCKSZ: the page size of WAL in every packaged PostgreSQL. */
export const WAL_PAGE = 8192;
export const SHORT_HEADER = 24;
export const LONG_HEADER = 40;

/** XLOG_PAGE_MAGIC of each major version. */
export const PAGE_MAGIC: Readonly<Record<number, number>> = { 15: 0xd110, 16: 0xd113, 17: 0xd116, 18: 0xd118 };

export const XLP_FIRST_IS_CONTRECORD = 0x0001;
export const XLP_LONG_HEADER = 0x0002;
export const XLP_FIRST_IS_OVERWRITE_CONTRECORD = 0x0008;
/** All bits that 15 to 18 define; any other makes the page invalid. */
export const XLP_ALL_FLAGS = 0x000f;

export interface PageHeader {
  magic: number;
  info: number;
  /** The timeline of the page's first record. */
  timeline: number;
  /** The page's own position. */
  address: bigint;
  /** Bytes left of a record that began on an earlier page. */
  remaining: number;
  /** SHORT_HEADER or LONG_HEADER. */
  size: number;
  /** Of a long header only: what identifies the file. */
  long: { systemIdentifier: bigint; segmentSize: number; pageSize: number } | null;
}

/** The major version that writes pages with this magic number, or null. */
export function versionOfMagic(magic: number): number | null {
  const found = Object.entries(PAGE_MAGIC).find(([, value]) => value === magic);
  return found ? Number(found[0]) : null;
}

/** Decodes, without judging, the header at `offset`; `bytes` must hold LONG_HEADER bytes from there. */
export function decodePageHeader(bytes: Uint8Array, offset = 0): PageHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, LONG_HEADER);
  const info = view.getUint16(2, true);
  const isLong = (info & XLP_LONG_HEADER) !== 0;
  return {
    magic: view.getUint16(0, true),
    info,
    timeline: view.getUint32(4, true),
    address: view.getBigUint64(8, true),
    remaining: view.getUint32(16, true),
    size: isLong ? LONG_HEADER : SHORT_HEADER,
    long: isLong ? { systemIdentifier: view.getBigUint64(24, true), segmentSize: view.getUint32(32, true), pageSize: view.getUint32(36, true) } : null,
  };
}

/**
 * Where on this page the first record begins, as an offset; WAL_PAGE when a record that began earlier fills the page
 * to its end (XLogFindNextRecord).
 */
export function firstRecordOffset(header: PageHeader): number {
  if ((header.info & XLP_FIRST_IS_CONTRECORD) === 0) return header.size;
  return Math.min(WAL_PAGE, header.size + Math.ceil(header.remaining / 8) * 8);
}
