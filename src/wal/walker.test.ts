import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PAGE_MAGIC, WAL_PAGE, XLP_LONG_HEADER } from './page.ts';
import { WalBuilder } from './testing/builder.ts';
import { RecordWalker } from './walker.ts';

const MB = 1 << 20;
const START = 0x0300_0000n;
const build = (): WalBuilder => new WalBuilder({ start: START, segmentSize: MB });

function walk(bytes: Uint8Array, start = START, step = WAL_PAGE * 3, timelines = [1]): RecordWalker {
  const walker = new RecordWalker({ start, segmentSize: MB, magic: PAGE_MAGIC[15]!, systemIdentifier: 7n, timelines: new Set(timelines) });
  let at = Number(walker.nextPage - START);
  while (at < bytes.length) {
    if (!walker.feed(bytes.subarray(at, at + step))) break;
    at += step;
  }
  return walker;
}

/** All of the builder's segments in one piece. */
function bytesOf(wal: WalBuilder, segments = 3): Buffer {
  return Buffer.concat(Array.from({ length: segments }, (_, i) => wal.segment(START + BigInt(i * MB))));
}

/** 300 records, then the bytes changed by `damage`: why the walk stops, and after how many of them, to the byte. */
function stopAfter(damage: (bytes: Buffer, wal: WalBuilder) => void, timelines = [1]): [string | null, number] {
  const wal = build();
  for (let i = 0; i < 300; i++) wal.record(900 + i);
  const bytes = bytesOf(wal);
  damage(bytes, wal);
  const walker = walk(bytes, START, WAL_PAGE * 3, timelines);
  const record = wal.records[walker.records - 1]!;
  return [walker.stop, record.start === walker.last && record.end === walker.end ? walker.records : -1];
}
const at = (lsn: bigint): number => Number(lsn - START);
const firstPageAfter = (wal: WalBuilder, record: number): number => Math.ceil(at(wal.records[record]!.start) / WAL_PAGE) * WAL_PAGE;
/** The index of the record that runs over the page boundary at `offset`. */
const across = (wal: WalBuilder, offset: number): number => wal.records.findIndex((r) => at(r.start) < offset && at(r.end) > offset);

describe('a walk over whole WAL', () => {
  it('ends after the last record, whatever the lengths and wherever the chunks are cut', () => {
    const length = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 8000, max: 8400 }), fc.integer({ min: 0, max: 40_000 }));
    fc.assert(
      fc.property(fc.array(length, { minLength: 1, maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (lengths, pages) => {
        const wal = build();
        for (const data of lengths) wal.record(data);
        const walker = walk(bytesOf(wal, 4), START, pages * WAL_PAGE);
        expect(walker.records).toBe(lengths.length);
        expect({ start: walker.last, end: walker.end }).toEqual(wal.records.at(-1));
        expect(walker.stop).toBe('zero');
      }),
      { numRuns: 60 },
    );
  });

  it('can begin at any record', () => {
    const wal = build();
    for (let i = 0; i < 400; i++) wal.record(i * 7);
    const bytes = bytesOf(wal);
    for (const [index, record] of wal.records.entries()) {
      const walker = walk(bytes, record.start, MB);
      expect([walker.end, walker.records]).toEqual([wal.at, 400 - index]);
    }
  });

  it('follows a switch to the next segment, and ends there', () => {
    const wal = build();
    wal.record(10);
    wal.switch();
    expect(walk(bytesOf(wal)).end).toBe(START + BigInt(MB));
    wal.record(10);
    const walker = walk(bytesOf(wal));
    expect([walker.end, walker.records]).toEqual([wal.at, 3]);
  });

  it('goes past a record that a crash cut off, when its replacement follows', () => {
    const wal = build();
    const whole = wal.record(100);
    const cut = wal.record(20_000);
    wal.overwriteFrom(cut.start - (cut.start % BigInt(WAL_PAGE)) + BigInt(WAL_PAGE), whole.start);
    const first = build();
    first.record(100);
    first.record(20_000);
    const bytes = bytesOf(wal);
    first.segment(START).copy(bytes, 0, 0, WAL_PAGE); // the page on which the lost record began is still there
    wal.record(16);
    const replaced = bytesOf(wal);
    first.segment(START).copy(replaced, 0, 0, WAL_PAGE);
    const walker = walk(replaced);
    expect([walker.end, walker.records]).toEqual([wal.at, 2]);
    expect(walk(bytes).end).toBe(whole.end);
  });
});

describe('a walk stops exactly where the last whole record ends', () => {
  it('at a flipped bit in data, header or padding of the header', () => {
    for (const [byte, stop] of [[30, 'crc'], [20, 'crc'], [4, 'crc'], [18, 'crc'], [8, 'prev'], [15, 'prev']] as const) {
      expect(stopAfter((bytes, wal) => { bytes[at(wal.records[137]!.start) + byte]! ^= 0x40; })).toEqual([stop, 137]);
    }
    expect(stopAfter((bytes, wal) => { bytes[at(wal.records[137]!.start) + 17] = 99; })).toEqual(['rmgr', 137]);
    expect(stopAfter((bytes, wal) => { bytes.writeUInt32LE(23, at(wal.records[137]!.start)); })).toEqual(['length', 137]);
  });

  it('at a torn record, cut at any byte', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 298 }), fc.nat(), (index, cut) => {
      const wal = build();
      for (let i = 0; i < 300; i++) wal.record(900 + i, 0x11);
      const { start, end } = wal.records[index]!;
      const bytes = bytesOf(wal);
      const from = at(start) + (cut % (at(end) - at(start) - 8));
      bytes.fill(0, from);
      const walker = walk(bytes);
      expect([walker.records, walker.end]).toEqual([index, index === 0 ? START : wal.records[index - 1]!.end]);
    }));
  });

  it('at pages of a recycled segment, of another version, or never written', () => {
    const wal = build();
    for (let i = 0; i < 300; i++) wal.record(900 + i);
    const boundary = firstPageAfter(wal, 200);
    const keep = across(wal, boundary);
    expect(stopAfter((b) => { b.writeBigUInt64LE(BigInt(boundary), boundary + 8); })).toEqual(['page-address', keep]);
    expect(stopAfter((b) => { b.writeUInt16LE(PAGE_MAGIC[18]!, boundary); })).toEqual(['magic', keep]);
    expect(stopAfter((b) => { b.fill(0, boundary, boundary + WAL_PAGE); })).toEqual(['zero', keep]);
    expect(stopAfter((b) => { b.writeUInt16LE(0x11, boundary + 2); })).toEqual(['page-info', keep]);
    expect(stopAfter((b) => { b.writeUInt16LE(0, boundary + 2); })).toEqual(['contrecord', keep]);
    expect(stopAfter((b) => { b.writeUInt32LE(8, boundary + 16); })).toEqual(['contrecord', keep]);
    expect(stopAfter((b) => { b.writeUInt32LE(2, boundary + 4); })).toEqual(['timeline', keep]);
  });

  it('at a timeline that goes backwards', () => {
    const wal = build();
    for (let i = 0; i < 300; i++) wal.record(900 + i);
    const boundary = firstPageAfter(wal, 100);
    expect(stopAfter((b) => { b.writeUInt32LE(2, boundary + 4); }, [1, 2])).toEqual(['timeline', across(wal, boundary + WAL_PAGE)]);
  });

  it('at a segment that is another system\'s or has no long header', () => {
    const wal = build();
    for (let i = 0; i < 1200; i++) wal.record(900 + (i % 300));
    const bytes = bytesOf(wal);
    const keep = across(wal, MB);
    for (const [stop, write] of [
      ['system', () => bytes.writeBigUInt64LE(8n, MB + 24)],
      ['system', () => bytes.writeUInt32LE(2 * MB, MB + 32)],
      ['page-info', () => bytes.writeUInt16LE(bytes.readUInt16LE(MB + 2) & ~XLP_LONG_HEADER, MB + 2)],
    ] as const) {
      wal.segment(START + BigInt(MB)).copy(bytes, MB);
      expect(walk(bytes).records).toBe(1200);
      write();
      const walker = walk(bytes);
      expect([walker.stop, walker.records, walker.end]).toEqual([stop, keep, wal.records[keep - 1]!.end]);
    }
  });

  it('does not take a stale record that happens to begin where the next would', () => {
    const old = build();
    for (let i = 0; i < 40; i++) old.record(100);
    const wal = build();
    for (let i = 0; i < 18; i++) wal.record(100, 0x22);
    wal.record(232, 0x22); // as long as two of the old: the old records' boundaries are met again, their links are not
    const bytes = old.segment(START);
    wal.segment(START).copy(bytes, 0, 0, at(wal.at));
    expect(old.records.some((record) => record.start === wal.at)).toBe(true);
    const walker = walk(bytes);
    expect([walker.stop, walker.records, walker.end]).toEqual(['prev', 19, wal.at]);
  });
});
