/** The headers inside a record: which blocks it refers to, and where its main data lies (access/xlogrecord.h). */
import { PgorbitError } from '../errors.ts';
import { formatLsn } from './lsn.ts';
import { RECORD_HEADER, decodeRecordHeader } from './record.ts';
import type { WalkedRecord } from './walker.ts';

/** A block that a record changes or restores. */
export interface BlockRef {
  /** Oids of the tablespace and the database (0: shared), and the relfilenode. */
  tablespace: number;
  database: number;
  relation: number;
  /** 0: main, 1: free space map, 2: visibility map, 3: init. */
  fork: number;
  block: number;
}

export interface DecodedRecord {
  rmid: number;
  /** Both halves of xl_info. */
  info: number;
  blocks: BlockRef[];
  /** Where the main data begins within the record, and its bytes. */
  dataAt: number;
  dataLength: number;
}

const MAX_BLOCK_ID = 32;
const ID_TOPLEVEL_XID = 252;
const ID_ORIGIN = 253;
const ID_DATA_LONG = 254;
const ID_DATA_SHORT = 255;

const FORK_MASK = 0x0f;
const HAS_IMAGE = 0x10;
const SAME_RELATION = 0x80;

const IMAGE_HAS_HOLE = 0x01;
/** pglz, lz4 or zstd. */
const IMAGE_COMPRESSED = 0x04 | 0x08 | 0x10;

/**
 * Reads the headers as DecodeXLogRecord() does (backend/access/transam/xlogreader.c, 15 to 18).
 * Throws PgorbitError `wal-invalid` where they do not add up to the record's length.
 */
export function decodeRecord(record: Pick<WalkedRecord, 'start' | 'totalLength' | 'head'>): DecodedRecord {
  const { head, totalLength } = record;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const { rmid, info } = decodeRecordHeader(head);
  const blocks: BlockRef[] = [];
  let at = RECORD_HEADER;
  /** Bytes of block data that follow the headers, and of main data, which come last. */
  let blockData = 0;
  let dataLength = 0;
  const malformed = (why: string): PgorbitError =>
    new PgorbitError('wal-invalid', `the WAL record at ${formatLsn(record.start)} is not laid out as one of PostgreSQL 15 to 18: ${why}`, {
      hint: 'make this member anew from a fresh copy',
    });
  const need = (bytes: number): void => {
    if (at + bytes > head.length) throw malformed('its headers go beyond its end');
  };

  while (totalLength - at > blockData + dataLength) {
    need(1);
    const id = view.getUint8(at++);
    if (id === ID_DATA_SHORT) {
      need(1);
      dataLength = view.getUint8(at);
      at += 1;
      break;
    } else if (id === ID_DATA_LONG) {
      need(4);
      dataLength = view.getUint32(at, true);
      at += 4;
      break;
    } else if (id === ID_ORIGIN) {
      at += 2;
    } else if (id === ID_TOPLEVEL_XID) {
      at += 4;
    } else if (id <= MAX_BLOCK_ID) {
      need(3);
      const flags = view.getUint8(at);
      blockData += view.getUint16(at + 1, true);
      at += 3;
      if ((flags & HAS_IMAGE) !== 0) {
        need(5);
        blockData += view.getUint16(at, true);
        const image = view.getUint8(at + 4);
        at += (image & IMAGE_HAS_HOLE) !== 0 && (image & IMAGE_COMPRESSED) !== 0 ? 7 : 5;
      }
      const before = blocks.at(-1);
      const same = (flags & SAME_RELATION) !== 0;
      need(same ? 4 : 16);
      if (same && !before) throw malformed('it names no relation');
      const { tablespace, database, relation } = same
        ? before!
        : { tablespace: view.getUint32(at, true), database: view.getUint32(at + 4, true), relation: view.getUint32(at + 8, true) };
      at += same ? 0 : 12;
      blocks.push({ tablespace, database, relation, fork: flags & FORK_MASK, block: view.getUint32(at, true) });
      at += 4;
    } else {
      throw malformed(`a block number of ${id}`);
    }
  }
  if (at + blockData + dataLength !== totalLength) throw malformed('its parts are not as long as the whole');
  return { rmid, info, blocks, dataAt: totalLength - dataLength, dataLength };
}
