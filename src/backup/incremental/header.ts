/**
 * The files of an incremental backup that hold some blocks of a relation only: named `INCREMENTAL.` and the file's name
 * (PostgreSQL 17 and later; backend/backup/basebackup.c sends them, basebackup_incremental.c decides what is in them).
 *
 *   magic, count of blocks, truncation length    each 4 bytes, little-endian as all that pgorbit runs on
 *   a number for each block                      4 bytes each, relative to the file
 *   zeroes up to a whole block                   where there is a block at all
 *   the blocks, in the order of the numbers
 */
import type { FileHandle } from 'node:fs/promises';
import { PgorbitError } from '../../errors.ts';

export const PREFIX = 'INCREMENTAL.';
const MAGIC = 0xd3ae1f0d;
/** BLCKSZ as PostgreSQL is built by everybody. */
export const BLOCK_BYTES = 8192;
/** RELSEG_SIZE: a file of a relation has at most 1 GB. */
export const SEGMENT_BLOCKS = 131_072;
const FIXED_BYTES = 12;

export interface Header {
  /** Numbers of the blocks that the file has, in the order in which they lie there. */
  blocks: Uint32Array;
  /** Blocks before this one that the file lacks are as in the backup before; those from here on are zeroes. */
  truncation: number;
  /** Where the first block lies, in bytes. */
  dataAt: number;
}

/** The file that an incremental one stands for, or null for a file that is whole. Only where relations lie: elsewhere a name is a name. */
export function standsFor(path: string): string | null {
  const slash = path.lastIndexOf('/') + 1;
  return path.startsWith(PREFIX, slash) && /^(base\/|global\/|pg_tblspc\/)/.test(path) ? path.slice(0, slash) + path.slice(slash + PREFIX.length) : null;
}

/** The name of the incremental file that stands for `path`. */
export function incrementalOf(path: string): string {
  const slash = path.lastIndexOf('/') + 1;
  return path.slice(0, slash) + PREFIX + path.slice(slash);
}

/** Bytes in front of the first of `count` blocks. */
export function headerBytes(count: number): number {
  const bytes = FIXED_BYTES + 4 * count;
  return count === 0 ? bytes : Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Reads the header of an open file. Throws PgorbitError `backup-damaged` that names `where`. */
export async function readHeader(handle: FileHandle, where: string): Promise<Header> {
  const { size } = await handle.stat();
  const fixed = await readExactly(handle, 0, FIXED_BYTES, where);
  if (fixed.readUInt32LE(0) !== MAGIC) throw damaged(where, 'it does not begin as one');
  const count = fixed.readUInt32LE(4);
  const truncation = fixed.readUInt32LE(8);
  if (count > SEGMENT_BLOCKS || truncation > SEGMENT_BLOCKS) throw damaged(where, `it speaks of ${Math.max(count, truncation)} blocks, and a file has at most ${SEGMENT_BLOCKS}`);
  const dataAt = headerBytes(count);
  if (size !== dataAt + count * BLOCK_BYTES) throw damaged(where, `it has ${size} bytes, and with ${count} blocks it would have ${dataAt + count * BLOCK_BYTES}`);
  const numbers = await readExactly(handle, FIXED_BYTES, 4 * count, where);
  const blocks = Uint32Array.from({ length: count }, (_, index) => numbers.readUInt32LE(4 * index));
  if (blocks.some((block) => block >= SEGMENT_BLOCKS) || new Set(blocks).size !== count) throw damaged(where, 'its block numbers are none');
  return { blocks, truncation, dataAt };
}

/** Throws `backup-damaged` where the file is shorter. */
export async function readExactly(handle: FileHandle, at: number, length: number, where: string, into = Buffer.allocUnsafe(length)): Promise<Buffer> {
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(into, done, length - done, at + done);
    if (bytesRead === 0) throw damaged(where, `it ends after ${at + done} bytes`);
    done += bytesRead;
  }
  return into.subarray(0, length);
}

function damaged(where: string, what: string): PgorbitError {
  return new PgorbitError('backup-damaged', `${where} is no sound part of an incremental backup: ${what}`, { hint: 'use another backup: `pgorbit backup ls`' });
}
