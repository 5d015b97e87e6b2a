/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), the checksum of WAL records, pg_control, backups and pgorbit's
 * own state files. Slicing-by-8, as PostgreSQL's port/pg_crc32c_sb8.c; long pieces are made short before.
 */
import { FOLD_BYTES, fold, Folding } from './crc32c-fold.ts';

const SLICES = 8;

function makeTables(): Int32Array[] {
  const tables = Array.from({ length: SLICES }, () => new Int32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    tables[0]![byte] = crc;
  }
  for (let slice = 1; slice < SLICES; slice++) {
    for (let byte = 0; byte < 256; byte++) {
      const previous = tables[slice - 1]![byte]!;
      tables[slice]![byte] = (previous >>> 8) ^ tables[0]![previous & 0xff]!;
    }
  }
  return tables;
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = makeTables() as [
  Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array,
];

/** The running state before the first byte: INIT_CRC32C. */
export const CRC32C_INIT = -1;

/**
 * Feeds `buf[start, end)` into a running state (COMP_CRC32C). Begin with CRC32C_INIT, end with crc32cFinish; the
 * pieces may be cut anywhere.
 */
export function crc32cUpdate(state: number, buf: Uint8Array, start = 0, end = buf.length): number {
  let crc = state | 0;
  let at = start;
  while (end - at >= FOLD_BYTES.least) {
    const next = Math.min(end, at + FOLD_BYTES.most);
    crc = byTables(0, fold(crc, buf.subarray(at, next)));
    at = next;
  }
  return byTables(crc, buf, at, end);
}

function byTables(state: number, buf: Uint8Array, start = 0, end = buf.length): number {
  let crc = state;
  let at = start;
  const whole = end - ((end - start) & 7);
  while (at < whole) {
    const low = crc ^ (buf[at]! | (buf[at + 1]! << 8) | (buf[at + 2]! << 16) | (buf[at + 3]! << 24));
    crc =
      T7[low & 0xff]! ^ T6[(low >>> 8) & 0xff]! ^ T5[(low >>> 16) & 0xff]! ^ T4[low >>> 24]! ^
      T3[buf[at + 4]!]! ^ T2[buf[at + 5]!]! ^ T1[buf[at + 6]!]! ^ T0[buf[at + 7]!]!;
    at += 8;
  }
  while (at < end) crc = (crc >>> 8) ^ T0[(crc ^ buf[at++]!) & 0xff]!;
  return crc;
}

/** The checksum of all that was fed, unsigned 32 bits (FIN_CRC32C). */
export function crc32cFinish(state: number): number {
  return ~state >>> 0;
}

/**
 * The CRC-32C of `buf`, unsigned. `seed` is the checksum of the bytes that come before it, so that
 * `crc32c(b, crc32c(a))` is the checksum of `a` followed by `b`.
 */
export function crc32c(buf: Uint8Array, seed = 0): number {
  return crc32cFinish(crc32cUpdate(~seed, buf));
}

/** A checksum of gigabytes that arrive in pieces of some kilobytes: in two thirds of the time that crc32cUpdate takes. */
export class Crc32cStream {
  readonly #folding = new Folding(FIRST);

  update(bytes: Uint8Array): void {
    this.#folding.update(bytes);
  }

  /** The checksum of all so far. */
  finish(): number {
    return crc32cFinish(byTables(0, this.#folding.rest()));
  }
}

/** The four bytes that bring the state from 0 to CRC32C_INIT: the shifts of the definition, backwards. */
const FIRST = beforeInit();
function beforeInit(): Uint8Array {
  let crc = CRC32C_INIT;
  for (let bit = 0; bit < 32; bit++) crc = crc < 0 ? ((crc ^ 0x82f63b78) << 1) | 1 : crc << 1;
  return new Uint8Array(Int32Array.of(crc).buffer);
}
