/**
 * Positions in the write-ahead log and the files that hold them: an Lsn counts bytes from the beginning of the
 * database system's WAL, and a segment file is named by timeline and number (access/xlog_internal.h).
 */
import { PgorbitError } from '../errors.ts';

/** A byte position in the WAL, 0 to 2^64 - 1; 0 is no position (InvalidXLogRecPtr). */
export type Lsn = bigint;

export const INVALID_LSN: Lsn = 0n;
export const MAX_LSN: Lsn = 0xffff_ffff_ffff_ffffn;
/** initdb's default for --wal-segsize, in bytes. */
export const DEFAULT_SEGMENT_SIZE = 16 * 1024 * 1024;

const LSN_TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** Reads `X/Y` as pg_lsn does. Throws PgorbitError `wal-invalid`. */
export function parseLsn(text: string): Lsn {
  const match = LSN_TEXT.exec(text);
  if (!match) {
    throw new PgorbitError('wal-invalid', `"${text}" is not a WAL position`, { hint: 'write it as PostgreSQL does, for example 0/16B3748' });
  }
  return (BigInt(`0x${match[1]!}`) << 32n) | BigInt(`0x${match[2]!}`);
}

/** Writes a position as PostgreSQL 15 to 18 do: `0/16B3748`. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`;
}

/** Bytes from `b` to `a`, negative when `a` comes first (pg_wal_lsn_diff). Exact up to 2^53. */
export function lsnDiff(a: Lsn, b: Lsn): number {
  return Number(a - b);
}

/** For sort(): negative, 0 or positive. */
export function compareLsn(a: Lsn, b: Lsn): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

export function maxLsn(a: Lsn, b: Lsn): Lsn {
  return a > b ? a : b;
}

export function minLsn(a: Lsn, b: Lsn): Lsn {
  return a < b ? a : b;
}

/** The position at or after `lsn` where a record may begin (MAXALIGN, 8 bytes on every supported platform). */
export function align8(lsn: Lsn): Lsn {
  return (lsn + 7n) & ~7n;
}

/** True for the sizes that initdb takes: a power of two from 1 MB to 1 GB. */
export function isSegmentSize(size: number): boolean {
  return Number.isInteger(size) && size >= 1 << 20 && size <= 1 << 30 && (size & (size - 1)) === 0;
}

/** The number of the segment that holds the byte at `lsn` (XLByteToSeg). */
export function segmentNumber(lsn: Lsn, segmentSize: number): bigint {
  return lsn / BigInt(segmentSize);
}

/** The first position of the segment that holds `lsn`. */
export function segmentStart(lsn: Lsn, segmentSize: number): Lsn {
  return lsn - (lsn % BigInt(segmentSize));
}

/** The first position after the segment that holds `lsn`. */
export function segmentEnd(lsn: Lsn, segmentSize: number): Lsn {
  return segmentStart(lsn, segmentSize) + BigInt(segmentSize);
}

/** Where `lsn` lies within its segment, in bytes. */
export function segmentOffset(lsn: Lsn, segmentSize: number): number {
  return Number(lsn % BigInt(segmentSize));
}

/** The 24 hexadecimal digits of the file that holds the byte at `lsn` on timeline `tli` (XLogFileName). */
export function segmentName(tli: number, lsn: Lsn, segmentSize: number): string {
  const number = segmentNumber(lsn, segmentSize);
  const perId = 0x1_0000_0000n / BigInt(segmentSize);
  return hex8(BigInt(tli)) + hex8(number / perId) + hex8(number % perId);
}

export interface SegmentId {
  timeline: number;
  /** The segment's first position. */
  start: Lsn;
}

const SEGMENT_TEXT = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})$/;

/** Reads a segment's file name; null where it is not one for this segment size. */
export function parseSegmentName(name: string, segmentSize: number): SegmentId | null {
  const match = SEGMENT_TEXT.exec(name);
  if (!match) return null;
  const timeline = Number.parseInt(match[1]!, 16);
  const perId = 0x1_0000_0000n / BigInt(segmentSize);
  const low = BigInt(`0x${match[3]!}`);
  if (timeline === 0 || low >= perId) return null;
  return { timeline, start: (BigInt(`0x${match[2]!}`) * perId + low) * BigInt(segmentSize) };
}

function hex8(value: bigint): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}
