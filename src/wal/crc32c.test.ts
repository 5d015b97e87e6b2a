import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FOLD_BYTES } from './crc32c-fold.ts';
import { CRC32C_INIT, Crc32cStream, crc32c, crc32cFinish, crc32cUpdate } from './crc32c.ts';

/** One bit at a time, straight from the definition. */
function slow(buf: Uint8Array): number {
  let crc = -1;
  for (const byte of buf) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

describe('crc32c', () => {
  it('agrees with the vectors of RFC 3720, B.4', () => {
    const ascending = Uint8Array.from({ length: 32 }, (_, i) => i);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(ascending)).toBe(0x46dd794e);
    expect(crc32c(ascending.toReversed())).toBe(0x113fdb5c);
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(0))).toBe(0);
  });

  it('agrees with the definition, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), fc.nat(), (bytes, a, b) => {
        const cuts = [0, a % (bytes.length + 1), b % (bytes.length + 1), bytes.length].sort((x, y) => x - y);
        let state = CRC32C_INIT;
        let chained = 0;
        for (let i = 0; i < 3; i++) {
          state = crc32cUpdate(state, bytes, cuts[i]!, cuts[i + 1]!);
          chained = crc32c(bytes.subarray(cuts[i]!, cuts[i + 1]!), chained);
        }
        expect(crc32cFinish(state)).toBe(slow(bytes));
        expect(chained).toBe(slow(bytes));
      }),
    );
  });

  it('agrees with the definition for long pieces, of any length, at any place', () => {
    const { least, most } = FOLD_BYTES;
    const bytes = Uint8Array.from({ length: 3 * most }, (_, i) => (Math.imul(i, 0x9e3779b1) >>> 13) ^ (i >>> 7));
    const lengths = [least - 1, least, most - 1, most, most + 1, most + least, 2 * most + 5, ...Array.from({ length: 80 }, (_, i) => least + i)];
    for (const length of lengths) {
      const start = length % 7;
      const piece = bytes.subarray(start, start + length);
      const half = length >> 1;
      expect(crc32cFinish(crc32cUpdate(CRC32C_INIT, bytes, start, start + length)), `${length}`).toBe(slow(piece));
      expect(crc32c(piece.subarray(half), crc32c(piece.subarray(0, half))), `${length} in halves`).toBe(slow(piece));
    }
  });

  it('agrees with itself for streams, whatever their pieces, several at a time', () => {
    const bytes = Uint8Array.from({ length: 3 * FOLD_BYTES.most }, (_, i) => (Math.imul(i, 0x9e3779b1) >>> 11) ^ (i >>> 9));
    const pieces = fc.array(fc.oneof(fc.nat(8), fc.nat(900), fc.nat(40_000), fc.constant(FOLD_BYTES.most + 700)), { maxLength: 12 });
    fc.assert(
      fc.property(fc.array(pieces, { minLength: 1, maxLength: 3 }), (streams) => {
        const sums = streams.map(() => new Crc32cStream());
        const ends = streams.map(() => 0);
        for (let turn = 0; turn < 12; turn++) {
          streams.forEach((lengths, which) => {
            const start = ends[which]!;
            ends[which] = Math.min(bytes.length, start + (lengths[turn] ?? 0));
            sums[which]!.update(bytes.subarray(start, ends[which]));
          });
        }
        sums.forEach((sum, which) => expect(sum.finish()).toBe(crc32c(bytes.subarray(0, ends[which]))));
      }),
    );
  });

  it('finds any one bit that is flipped in a long piece', () => {
    const piece = new Uint8Array(FOLD_BYTES.least + 100).fill(0x5a);
    const whole = crc32c(piece);
    for (let at = 0; at < piece.length; at++) {
      piece[at]! ^= 1 << (at & 7);
      expect(crc32c(piece)).not.toBe(whole);
      piece[at]! ^= 1 << (at & 7);
    }
  });
});
