/** The checksum of a data page (src/include/storage/checksum_impl.h; documentation, "Data Checksums"). Pure. */

/** Of each column of 32-bit words, where its sum begins. */
const BASES = Uint32Array.of(
  0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c,
  0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb,
  0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4,
  0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756,
);
const PRIME = 16_777_619;
/** Where a page has its checksum, 16 bits that count as zero. */
const CHECKSUM_AT = 8;
/** pd_upper: 0 in a page that nobody has written to, which has no checksum. */
const UPPER_AT = 14;

export const isNewPage = (page: Buffer): boolean => page.readUInt16LE(UPPER_AT) === 0;

/** @param block is its number within the fork, over all segments. */
export function pageChecksum(page: Buffer, block: number): number {
  const sums = Uint32Array.from(BASES);
  const mix = (column: number, word: number): void => {
    const mixed = sums[column]! ^ word;
    sums[column] = Math.imul(mixed, PRIME) ^ (mixed >>> 17);
  };
  for (let at = 0; at < page.length; at += 4) mix((at / 4) % BASES.length, at === CHECKSUM_AT ? page.readUInt16LE(at + 2) << 16 : page.readUInt32LE(at));
  for (let round = 0; round < 2; round++) for (let column = 0; column < BASES.length; column++) mix(column, 0);
  const folded = (sums.reduce((sum, one) => (sum ^ one) >>> 0, 0) ^ block) >>> 0;
  return (folded % 65_535) + 1;
}

export function setPageChecksum(page: Buffer, block: number): void {
  page.writeUInt16LE(pageChecksum(page, block), CHECKSUM_AT);
}
