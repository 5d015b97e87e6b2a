import { describe, expect, it } from 'vitest';
import { decodeRecord } from './blocks.ts';
import { PAGE_MAGIC } from './page.ts';
import { RECORD_HEAD } from './record.ts';
import { WalBuilder } from './testing/builder.ts';
import { RecordWalker, type WalkedRecord } from './walker.ts';

const u8 = (...values: number[]): Buffer => Buffer.from(values);
const u16 = (value: number): Buffer => { const b = Buffer.alloc(2); b.writeUInt16LE(value); return b; };
const u32 = (value: number): Buffer => { const b = Buffer.alloc(4); b.writeUInt32LE(value); return b; };
const locator = (a: number, b: number, c: number): Buffer => Buffer.concat([u32(a), u32(b), u32(c)]);

/** A record whose bytes behind the header are these. */
function recordOf(...parts: Buffer[]): { start: bigint; totalLength: number; head: Uint8Array } {
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(24);
  header.writeUInt32LE(24 + body.length, 0);
  header.writeUInt8(0x61, 16);
  header.writeUInt8(10, 17);
  const all = Buffer.concat([header, body]);
  return { start: 0x3000028n, totalLength: all.length, head: all.subarray(0, RECORD_HEAD) };
}

const IMAGE = 0x10;
const DATA = 0x20;
const SAME = 0x80;

describe('the headers of a record', () => {
  it('name each block, with the relation of the one before where they say so', () => {
    const found = decodeRecord(recordOf(
      u8(252), u32(77), // the top-level transaction
      u8(253), u16(1), // a replication origin
      u8(0, DATA | 0), u16(4), locator(1663, 5, 16384), u32(9),
      u8(1, SAME | 0), u16(0), u32(131_073),
      u8(2, 2), u16(0), locator(1664, 0, 1262), u32(1),
      u8(255, 3), Buffer.alloc(4), Buffer.from('abc'),
    ));
    expect(found.blocks).toEqual([
      { tablespace: 1663, database: 5, relation: 16384, fork: 0, block: 9 },
      { tablespace: 1663, database: 5, relation: 16384, fork: 0, block: 131_073 },
      { tablespace: 1664, database: 0, relation: 1262, fork: 2, block: 1 },
    ]);
    expect([found.rmid, found.info, found.dataLength]).toEqual([10, 0x61, 3]);
  });

  it('are found behind images, plain, with a hole, and compressed with one', () => {
    const image = (info: number, bytes: number): Buffer => Buffer.concat([u16(bytes), u16(100), u8(info)]);
    const found = decodeRecord(recordOf(
      u8(0, IMAGE), u16(0), image(0x02, 8192), locator(1663, 5, 1), u32(1),
      u8(1, IMAGE), u16(0), image(0x01, 300), locator(1663, 5, 2), u32(2),
      u8(2, IMAGE), u16(0), image(0x01 | 0x08, 200), u16(50), locator(1663, 5, 3), u32(3),
      u8(3, IMAGE | SAME), u16(0), image(0x10, 20), u32(4),
      u8(254), u32(70_000), Buffer.alloc(8192 + 300 + 200 + 20 + 70_000),
    ));
    expect(found.blocks.map((ref) => [ref.relation, ref.block])).toEqual([[1, 1], [2, 2], [3, 3], [3, 4]]);
    expect(found.dataLength).toBe(70_000);
  });

  it('need not be followed by main data, nor be there at all', () => {
    const found = decodeRecord(recordOf(u8(0, DATA), u16(5), locator(1663, 5, 1), u32(1), Buffer.alloc(5)));
    expect([found.blocks.length, found.dataLength]).toEqual([1, 0]);
    expect(decodeRecord(recordOf()).blocks).toEqual([]);
  });

  it('are refused where they do not add up', () => {
    for (const parts of [
      [u8(40), Buffer.alloc(10)],
      [u8(0, SAME), u16(0), u32(1)],
      [u8(0, 0), u16(2), locator(1663, 5, 1), u32(1), u8(255, 1), Buffer.alloc(9)],
      [u8(0, 0), u16(0)],
    ]) {
      expect(() => decodeRecord(recordOf(...parts))).toThrow(/0\/3000028 is not laid out/);
    }
  });
});

describe('a walk that tells of its records', () => {
  it('gives the first bytes of each, wherever pages and chunks are cut', () => {
    const wal = new WalBuilder({ start: 0x0300_0000n, segmentSize: 1 << 20 });
    const lengths = [0, 10, 990, 1000, 1001, 30_000, 8100, 7, 40_000, 100];
    for (const length of lengths) wal.record(length, length & 0xff);
    const seen: (Omit<WalkedRecord, 'head'> & { head: Buffer })[] = [];
    const walker = new RecordWalker({
      start: 0x0300_0000n, segmentSize: 1 << 20, magic: PAGE_MAGIC[15]!, systemIdentifier: 7n, timelines: new Set([1]),
      onRecord: (record) => seen.push({ ...record, head: Buffer.from(record.head) }),
    });
    const bytes = wal.segment(0x0300_0000n);
    for (let at = 0; at < bytes.length && walker.feed(bytes.subarray(at, at + 16_384)); at += 16_384);
    expect(seen.map(({ start, end }) => ({ start, end }))).toEqual(wal.records);
    for (const [index, length] of lengths.entries()) {
      expect(seen[index]!.totalLength).toBe(24 + length);
      expect(seen[index]!.head.length).toBe(Math.min(RECORD_HEAD, 24 + length));
      expect(seen[index]!.head.subarray(24).every((byte) => byte === (length & 0xff))).toBe(true);
    }
  });
});
