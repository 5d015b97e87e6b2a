import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CRC32C_INIT, crc32c, crc32cFinish, crc32cUpdate } from './crc32c.ts';

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
});
