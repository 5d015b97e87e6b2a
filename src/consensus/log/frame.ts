/**
 * The unit of what lies on disk: magic, length of the payload, CRC-32C of length and payload (each four bytes, little
 * endian), payload (JSON). A frame is written and fsynced before the next one begins, so after a crash only the last
 * one can be incomplete: a bad frame with a good one behind it is damage, not a crash.
 */
import { crc32c } from '../../wal/crc32c.ts';

const MAGIC = Buffer.from('PGOF', 'latin1');
const HEADER = 12;

export function encodeFrame(payload: object): Buffer {
  const body = Buffer.from(JSON.stringify(payload), 'utf8');
  const frame = Buffer.alloc(HEADER + body.length);
  MAGIC.copy(frame, 0);
  frame.writeUInt32LE(body.length, 4);
  body.copy(frame, HEADER);
  frame.writeUInt32LE(checksum(frame, 0, body.length), 8);
  return frame;
}

const checksum = (buf: Buffer, at: number, length: number): number =>
  crc32c(buf.subarray(at + HEADER, at + HEADER + length), crc32c(buf.subarray(at + 4, at + 8)));

/** The payload of the frame at `at` and where the next begins, or null when there is no whole, intact frame. */
function readFrame(buf: Buffer, at: number): { payload: unknown; next: number } | null {
  if (buf.length < at + HEADER || buf.compare(MAGIC, 0, 4, at, at + 4) !== 0) return null;
  const length = buf.readUInt32LE(at + 4);
  const next = at + HEADER + length;
  if (next > buf.length || checksum(buf, at, length) !== buf.readUInt32LE(at + 8)) return null;
  return { payload: JSON.parse(buf.toString('utf8', at + HEADER, next)) as unknown, next };
}

export interface Scan {
  payloads: unknown[];
  /** Where the intact part ends. */
  end: number;
  /** `torn`: what follows is an unfinished write. `corrupt`: intact frames follow the bad one. */
  tail: 'clean' | 'torn' | 'corrupt';
}

export function scanFrames(buf: Buffer): Scan {
  const payloads: unknown[] = [];
  let end = 0;
  for (let frame = readFrame(buf, end); frame !== null; frame = readFrame(buf, end)) {
    payloads.push(frame.payload);
    end = frame.next;
  }
  if (end === buf.length) return { payloads, end, tail: 'clean' };
  for (let at = buf.indexOf(MAGIC, end + 1); at !== -1; at = buf.indexOf(MAGIC, at + 1)) {
    if (readFrame(buf, at) !== null) return { payloads, end, tail: 'corrupt' };
  }
  return { payloads, end, tail: 'torn' };
}
