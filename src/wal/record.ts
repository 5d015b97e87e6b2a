/** Headers of WAL records (access/xlogrecord.h). */
import { CRC32C_INIT, crc32cFinish, crc32cUpdate } from './crc32c.ts';

/** SizeOfXLogRecord. */
export const RECORD_HEADER = 24;
/** Offset of xl_crc, the last field: the checksum covers the data first and then the header up to here. */
export const RECORD_CRC_AT = 20;
/**
 * No record has more headers than fit in this many bytes: 33 block references of 27 bytes, what else may come before
 * the data, and the record's own header.
 */
export const RECORD_HEAD = 1024;

/** RM_MAX_BUILTIN_ID of PostgreSQL 15 to 18 (rmgrlist.h), and RM_MIN_CUSTOM_ID. */
const MAX_BUILTIN_RMID = 21;
const MIN_CUSTOM_RMID = 128;

export const RM_XLOG_ID = 0;
const XLOG_SWITCH = 0x40;
/** The high half of xl_info belongs to the resource manager, the low half to the WAL itself. */
const RMGR_INFO = 0xf0;

export interface RecordHeader {
  /** Bytes of the whole record, this header included. */
  totalLength: number;
  xid: number;
  /** Where the previous record begins. */
  previous: bigint;
  info: number;
  rmid: number;
  crc: number;
}

/** Decodes, without judging, the header at `offset`; `bytes` must hold RECORD_HEADER bytes from there. */
export function decodeRecordHeader(bytes: Uint8Array, offset = 0): RecordHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, RECORD_HEADER);
  return {
    totalLength: view.getUint32(0, true),
    xid: view.getUint32(4, true),
    previous: view.getBigUint64(8, true),
    info: view.getUint8(16),
    rmid: view.getUint8(17),
    crc: view.getUint32(RECORD_CRC_AT, true),
  };
}

/** RmgrIdIsValid: a built-in resource manager, or an extension's. */
export function isResourceManager(rmid: number): boolean {
  return rmid <= MAX_BUILTIN_RMID || rmid >= MIN_CUSTOM_RMID;
}

/** True for XLOG_SWITCH, after which the rest of the segment is left unused. */
export function isSwitch(rmid: number, info: number): boolean {
  return rmid === RM_XLOG_ID && (info & RMGR_INFO) === XLOG_SWITCH;
}

/** The checksum that a record of these bytes must carry; `record` is the whole record, header included. */
export function recordCrc(record: Uint8Array): number {
  return crc32cFinish(crc32cUpdate(crc32cUpdate(CRC32C_INIT, record, RECORD_HEADER), record, 0, RECORD_CRC_AT));
}
