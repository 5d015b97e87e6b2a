/**
 * Reads global/pg_control (src/include/catalog/pg_control.h of PostgreSQL 15 to 18) without pg_controldata, which
 * the embedded PostgreSQL lacks. Little-endian with 8-byte alignment: x86-64 and arm64, all that pgorbit runs on.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PgorbitError, errnoOf } from '../errors.ts';
import { sleep } from '../lifecycle.ts';
import { crc32c } from '../wal/crc32c.ts';
import { formatLsn } from '../wal/lsn.ts';

/** DBState, in pg_controldata's words and the header's order. */
export const CONTROL_STATES = [
  'starting up', 'shut down', 'shut down in recovery', 'shutting down', 'in crash recovery', 'in archive recovery', 'in production',
] as const;
export type ControlState = (typeof CONTROL_STATES)[number];

export interface ControlData {
  /** Decimal. */
  systemIdentifier: string;
  pgControlVersion: number;
  catalogVersion: number;
  state: ControlState;
  /** When the file was last written, ms since 1970, in whole seconds. */
  time: number;
  /** Where the latest checkpoint record begins, `X/Y`; LSNs below likewise. */
  checkpoint: string;
  /** Where replay from that checkpoint begins. */
  redo: string;
  timeline: number;
  prevTimeline: number;
  fullPageWrites: boolean;
  /** Epoch and id of the next transaction, as one number: decimal. */
  nextXid: string;
  nextOid: number;
  nextMulti: number;
  oldestXid: number;
  oldestActiveXid: number;
  /** When the checkpoint was begun, ms since 1970. */
  checkpointTime: number;
  /** `0/0` where there is none. */
  minRecoveryPoint: string;
  minRecoveryTimeline: number;
  backupStart: string;
  backupEnd: string;
  backupEndRequired: boolean;
  walLevel: 'minimal' | 'replica' | 'logical';
  walLogHints: boolean;
  /** What a standby's own settings must not be lower than. */
  limits: { maxConnections: number; maxWorkerProcesses: number; maxWalSenders: number; maxPreparedTransactions: number; maxLocksPerTransaction: number };
  blockSize: number;
  /** Bytes. */
  walSegmentSize: number;
  /** 0: data pages have no checksums. */
  dataChecksumVersion: number;
}

/**
 * Where the CRC lies, by format. 17 put the checkpoint's wal_level into what was padding before, so the fields above
 * are where they were; 18 put default_char_signedness before the nonce.
 */
export const CRC_OFFSET: Readonly<Record<number, number>> = { 1300: 288, 1700: 288, 1800: 292 };

/** The content of pg_control. Throws `postgres-failed` for a format that is not known or a CRC that does not match. */
export function parseControlFile(bytes: Buffer, name: string): ControlData {
  const pgControlVersion = bytes.length >= 16 ? bytes.readUInt32LE(8) : 0;
  const crcAt = CRC_OFFSET[pgControlVersion];
  if (crcAt === undefined || bytes.length < crcAt + 4) {
    throw new PgorbitError('postgres-failed', `${name} is no control file of PostgreSQL 15 to 18 (format ${pgControlVersion}, ${bytes.length} bytes).`);
  }
  if (crc32c(bytes.subarray(0, crcAt)) !== bytes.readUInt32LE(crcAt)) {
    throw new PgorbitError('postgres-failed', `${name} is damaged: its checksum does not match its content.`, {
      hint: 'Rebuild this member from another one.',
    });
  }
  const u32 = (at: number): number => bytes.readUInt32LE(at);
  const i32 = (at: number): number => bytes.readInt32LE(at);
  const bool = (at: number): boolean => bytes[at] !== 0;
  const lsn = (at: number): string => formatLsn(bytes.readBigUInt64LE(at));
  const time = (at: number): number => Number(bytes.readBigInt64LE(at)) * 1000;
  return {
    systemIdentifier: bytes.readBigUInt64LE(0).toString(),
    pgControlVersion,
    catalogVersion: u32(12),
    state: CONTROL_STATES[u32(16)] ?? 'starting up',
    time: time(24),
    checkpoint: lsn(32),
    // checkPointCopy, 40 to 127
    redo: lsn(40),
    timeline: u32(48),
    prevTimeline: u32(52),
    fullPageWrites: bool(56),
    nextXid: bytes.readBigUInt64LE(64).toString(),
    nextOid: u32(72),
    nextMulti: u32(76),
    oldestXid: u32(84),
    checkpointTime: time(104),
    oldestActiveXid: u32(120),
    // 128: unloggedLSN
    minRecoveryPoint: lsn(136),
    minRecoveryTimeline: u32(144),
    backupStart: lsn(152),
    backupEnd: lsn(160),
    backupEndRequired: bool(168),
    walLevel: (['minimal', 'replica', 'logical'] as const)[u32(172)] ?? 'minimal',
    walLogHints: bool(176),
    limits: {
      maxConnections: i32(180),
      maxWorkerProcesses: i32(184),
      maxWalSenders: i32(188),
      maxPreparedTransactions: i32(192),
      maxLocksPerTransaction: i32(196),
    },
    // 200: track_commit_timestamp, 204: maxAlign, 208: floatFormat, 220: relseg_size, 224: xlog_blcksz
    blockSize: u32(216),
    walSegmentSize: u32(228),
    // 232 to 248: nameDataLen, indexMaxKeys, toast_max_chunk_size, loblksize, float8ByVal
    dataChecksumVersion: u32(252),
  };
}

export const controlFile = (dataDir: string): string => join(dataDir, 'global', 'pg_control');

/**
 * Reads pg_control of a data directory whose server may be running. The server overwrites the file in place, so a
 * read beside a write may see half of each: a wrong checksum is looked at again, as get_controlfile() does.
 * Throws `postgres-failed`.
 */
export async function readControlFile(dataDir: string): Promise<ControlData> {
  const file = controlFile(dataDir);
  for (let left = 10; ; left--) {
    const bytes = await readFile(file).catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
      throw new PgorbitError('postgres-failed', `${dataDir} is no PostgreSQL data directory: it has no global/pg_control.`);
    });
    try {
      return parseControlFile(bytes, file);
    } catch (error) {
      if (left === 0) throw error;
      await sleep(10);
    }
  }
}
