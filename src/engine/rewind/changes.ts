/** The blocks that WAL changed, record by record (pg_rewind's parsexlog.c). */
import { PgorbitError } from '../../errors.ts';
import { type DecodedRecord, decodeRecord } from '../../wal/blocks.ts';
import { type Lsn, formatLsn } from '../../wal/lsn.ts';
import { RM_XLOG_ID } from '../../wal/record.ts';
import type { WalkedRecord } from '../../wal/walker.ts';
import { blockFile } from './paths.ts';

/** A checkpoint's record: where it lies, and what of CheckPoint (catalog/pg_control.h) matters here. */
export interface CheckpointRecord {
  start: Lsn;
  end: Lsn;
  redo: Lsn;
  timeline: number;
  fullPageWrites: boolean;
}

/** Resource managers (access/rmgrlist.h) and record types with XLR_SPECIAL_REL_UPDATE. */
const RM_XACT = 1;
const RM_SMGR = 2;
const RM_DBASE = 4;
const MIN_CUSTOM_RMID = 128;
const SPECIAL_UPDATE = 0x01;
const SMGR_TRUNCATE = 0x20;
const KNOWN_SPECIAL: Readonly<Record<number, { mask: number; types: readonly number[] }>> = {
  // Commit, abort, commit prepared, abort prepared: relations that were dropped.
  [RM_XACT]: { mask: 0x70, types: [0x00, 0x20, 0x30, 0x40] },
  // Create, truncate.
  [RM_SMGR]: { mask: 0xf0, types: [0x10, SMGR_TRUNCATE] },
  // Create by copying files, create by WAL, drop.
  [RM_DBASE]: { mask: 0xf0, types: [0x00, 0x10, 0x20] },
};

const CHECKPOINT_SHUTDOWN = 0x00;
const CHECKPOINT_ONLINE = 0x10;
const FPW_CHANGE = 0x80;

/** The checkpoint that this record is, or null. */
export function checkpointOf(record: WalkedRecord): CheckpointRecord | null {
  if (record.head[17] !== RM_XLOG_ID) return null;
  const type = record.head[16]! & 0xf0;
  if (type !== CHECKPOINT_SHUTDOWN && type !== CHECKPOINT_ONLINE) return null;
  const { dataAt } = decodeRecord(record);
  const view = new DataView(record.head.buffer, record.head.byteOffset + dataAt);
  return {
    start: record.start, end: record.end,
    redo: view.getBigUint64(0, true), timeline: view.getUint32(8, true), fullPageWrites: view.getUint8(16) !== 0,
  };
}

/** Is this the record of full_page_writes being turned off? */
export function turnsFullPageWritesOff(record: WalkedRecord): boolean {
  if (record.head[17] !== RM_XLOG_ID || (record.head[16]! & 0xf0) !== FPW_CHANGE) return false;
  return record.head[decodeRecord(record).dataAt] === 0;
}

/** What a plan wants to know of the target's WAL. */
export interface Changes {
  /** Numbers of blocks within a segment file, by its path below the data directory. */
  readonly files: ReadonlyMap<string, ReadonlySet<number>>;
  /** The shortest that a relation was cut to, in blocks, by the path of its first segment. */
  readonly truncated: ReadonlyMap<string, number>;
}

export class ChangedBlocks implements Changes {
  readonly files = new Map<string, Set<number>>();
  readonly truncated = new Map<string, number>();
  /** The last file met: records of one relation follow each other. */
  #last: { path: string; blocks: Set<number> } = { path: '', blocks: new Set() };

  /**
   * Notes what `record` changed. Created and dropped files show in the lists of files, as in pg_rewind. Truncated ones
   * may not: extended again to their old length, but with empty blocks, of which WAL says nothing.
   * Throws `wal-invalid` for a record that changes files in a way that is not known, `unsafe` for another tablespace.
   */
  add(record: WalkedRecord): void {
    const decoded = decodeRecord(record);
    refuseUnknown(record, decoded);
    if (decoded.rmid === RM_SMGR && (decoded.info & 0xf0) === SMGR_TRUNCATE) this.#truncate(record, decoded);
    for (const ref of decoded.blocks) {
      if (ref.fork !== 0) continue;
      const file = fileOf(record, ref);
      if (this.#last.path !== file.path) {
        const blocks = this.files.get(file.path) ?? new Set();
        this.files.set(file.path, blocks);
        this.#last = { path: file.path, blocks };
      }
      this.#last.blocks.add(file.block);
    }
  }

  /** xl_smgr_truncate (catalog/storage_xlog.h): the new length, and which relation. */
  #truncate(record: WalkedRecord, { dataAt }: DecodedRecord): void {
    const view = new DataView(record.head.buffer, record.head.byteOffset + dataAt);
    const [length, tablespace, database, relation] = [0, 4, 8, 12].map((at) => view.getUint32(at, true)) as [number, number, number, number];
    const { path } = fileOf(record, { tablespace, database, relation, block: 0 });
    this.truncated.set(path, Math.min(length, this.truncated.get(path) ?? length));
  }
}

function fileOf(record: WalkedRecord, ref: Parameters<typeof blockFile>[0]): { path: string; block: number } {
  const file = blockFile(ref);
  if (file !== null) return file;
  throw new PgorbitError('unsafe', `the WAL at ${formatLsn(record.start)} changes a relation in tablespace ${ref.tablespace}: only the default tablespace can be rewound`, {
    hint: 'make this member anew from a fresh copy',
  });
}

function refuseUnknown(record: WalkedRecord, { rmid, info }: DecodedRecord): void {
  const special = KNOWN_SPECIAL[rmid];
  const unknown = (info & SPECIAL_UPDATE) !== 0 && !special?.types.includes(info & special.mask);
  if (!unknown && rmid < MIN_CUSTOM_RMID) return;
  throw new PgorbitError('wal-invalid', `the WAL record at ${formatLsn(record.start)} (resource manager ${rmid}, type ${info}) may change files in a way that pgorbit does not know`, {
    hint: 'make this member anew from a fresh copy',
  });
}
