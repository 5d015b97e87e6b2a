/** Reading a log that grows, is truncated and is replaced, without keeping it open. */
import { type FileHandle, open } from 'node:fs/promises';
import { errnoOf } from '../errors.ts';

export interface LogChunk {
  /** Whole lines, newest last; a line longer than the limit comes in pieces. */
  text: string;
  /** Where the next call goes on, in bytes. */
  offset: number;
}

/** The most that one call returns, in bytes. */
const CHUNK = 256 * 1024;
const NEWLINE = 0x0a;

/**
 * The log from `offset` on; -1: its last `lines` lines. Only whole lines are returned, so a line that is being written
 * comes with the next call. An offset beyond the end means that the file was truncated or replaced: it is read from
 * its start. A file that is missing is empty.
 */
export async function readLog(file: string, offset: number, lines: number): Promise<LogChunk> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { text: '', offset: 0 };
    throw error;
  }
  try {
    const { size } = await handle.stat();
    if (offset < 0) return await lastLines(handle, size, lines);
    return await linesFrom(handle, offset > size ? 0 : offset, size);
  } finally {
    await handle.close();
  }
}

async function linesFrom(handle: FileHandle, start: number, size: number): Promise<LogChunk> {
  const bytes = await readAt(handle, start, Math.min(size - start, CHUNK));
  const end = bytes.lastIndexOf(NEWLINE) + 1;
  // A chunk without any end of line is passed on as it is, or reading would stand still for ever.
  const whole = end === 0 && bytes.length === CHUNK ? bytes : bytes.subarray(0, end);
  return { text: whole.toString('utf8'), offset: start + whole.length };
}

async function lastLines(handle: FileHandle, size: number, lines: number): Promise<LogChunk> {
  const start = Math.max(0, size - CHUNK);
  const bytes = await readAt(handle, start, size - start);
  const end = bytes.lastIndexOf(NEWLINE) + 1;
  let from = end;
  for (let left = lines; left > 0 && from > 0; left--) from = from < 2 ? 0 : bytes.lastIndexOf(NEWLINE, from - 2) + 1;
  return { text: bytes.subarray(from, end).toString('utf8'), offset: start + end };
}

async function readAt(handle: FileHandle, start: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, start + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}
