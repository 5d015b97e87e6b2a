import { mkdtempSync, rmSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listWal } from './ls.ts';
import { segmentName } from './lsn.ts';
import { findWalEnd } from './scan.ts';
import { WalBuilder } from './testing/builder.ts';
import { summarize, verifyWal } from './verify.ts';

const MB = 1 << 20;
const START = 0x0300_0000n;
const segment = (i: number): bigint => START + BigInt(i * MB);
const name = (i: number, timeline = 1): string => segmentName(timeline, segment(i), MB);

let dir: string;
let wal: WalBuilder;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-verify-'));
  wal = new WalBuilder({ start: START, segmentSize: MB });
  while (wal.at < segment(5) + 300_000n) wal.record(5000 + (wal.records.length % 700));
  for (let i = 0; i < 6; i++) writeFileSync(join(dir, name(i)), wal.segment(segment(i)));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('a WAL directory', () => {
  it('is listed with what each file holds', async () => {
    writeFileSync(join(dir, name(6)), wal.segment(segment(1)));
    writeFileSync(join(dir, name(7)), Buffer.alloc(MB));
    writeFileSync(join(dir, name(8)), Buffer.alloc(100));
    writeFileSync(join(dir, name(9)), Buffer.alloc(MB, 1));
    writeFileSync(join(dir, name(10)), new WalBuilder({ start: segment(10), segmentSize: MB, systemIdentifier: 9n }).segment(segment(10)));
    const other = new WalBuilder({ start: segment(11), segmentSize: MB, systemIdentifier: 9n });
    other.record(10);
    writeFileSync(join(dir, `${name(11)}.partial`), other.segment(segment(11)));
    writeFileSync(join(dir, '00000002.history'), '1\t0/3000000\tx\n');
    writeFileSync(join(dir, 'xlogtemp.1'), '');
    const listing = await listWal(dir);
    expect([listing.segmentSize, listing.systemIdentifier, listing.version]).toEqual([MB, 7n, 15]);
    expect(listing.segments.map((s) => s.state)).toEqual(['written', 'written', 'written', 'written', 'written', 'written', 'recycled', 'empty', 'short', 'damaged', 'empty', 'foreign']);
    expect([listing.segments.at(-1)!.kind, listing.histories, listing.others]).toEqual(['partial', [2], ['xlogtemp.1']]);
  });

  it('that holds no WAL is refused', async () => {
    rmSync(dir, { recursive: true });
    await expect(listWal(dir)).rejects.toThrow(/cannot read/);
    dir = mkdtempSync(join(tmpdir(), 'pgorbit-verify-'));
    await expect(listWal(dir)).rejects.toThrow(/holds no WAL segment/);
  });
});

describe('verifying', () => {
  it('finds nothing wrong with whole WAL, and its end', async () => {
    writeFileSync(join(dir, name(6)), wal.segment(segment(1))); // recycled: no damage
    const verdict = await verifyWal(dir);
    expect([verdict.records, verdict.end, verdict.gaps, verdict.damaged]).toEqual([wal.records.length, wal.at, [], []]);
    expect(summarize(verdict)).toMatch(/no gaps, no damage$/);
  });

  it('names a missing segment, and reads on after it', async () => {
    unlinkSync(join(dir, name(2)));
    const verdict = await verifyWal(dir);
    expect([verdict.gaps, verdict.damaged, verdict.end]).toEqual([[{ timeline: 1, from: segment(2), to: segment(3) }], [], wal.at]);
    expect(verdict.records).toBe(wal.records.filter((r) => r.end <= segment(2) || r.start >= segment(3)).length);
  });

  it('names damaged segments, and the last record before each damage', async () => {
    const bytes = wal.segment(segment(1));
    const hit = wal.records.find((r) => r.start > segment(1) + 500_000n)!;
    bytes[Number(hit.start - segment(1)) + 100]! ^= 1;
    writeFileSync(join(dir, name(1)), bytes);
    writeFileSync(join(dir, name(3)), Buffer.alloc(MB, 1));
    truncateSync(join(dir, name(4)), 400_000);
    const verdict = await verifyWal(dir);
    expect(verdict.damaged).toEqual([
      { segment: name(1), lsn: hit.start, reason: 'crc' },
      { segment: name(2), lsn: before(segment(3)), reason: 'magic' },
      { segment: name(3), lsn: segment(3), reason: 'unreadable' },
      { segment: name(4), lsn: before(segment(4) + BigInt(400_000 - (400_000 % 8192))), reason: 'short' },
    ]);
    expect(verdict.end).toBe(wal.at);
  });

  it('does not take the unfinished last record for damage', async () => {
    const bytes = wal.segment(segment(5));
    bytes.fill(0, 290_000);
    writeFileSync(join(dir, name(5)), bytes);
    expect((await verifyWal(dir)).damaged).toEqual([]);
  });
});

const find = (from: bigint, more = {}): ReturnType<typeof findWalEnd> => findWalEnd({ walDir: dir, timeline: 1, from, segmentSize: MB, ...more });
const before = (lsn: bigint): bigint => wal.records.findLast((r) => r.end <= lsn)!.end;

describe('looking for the end', () => {
  it('tells of written segments after the end: WAL before them was lost', async () => {
    unlinkSync(join(dir, name(3)));
    const found = await find(segment(1));
    expect([found.stop, found.laterSegment]).toEqual(['no-segment', name(4)]);
    expect(found.end).toBe(before(segment(3)));
  });

  it('begins after `from` where the segment before is gone', async () => {
    unlinkSync(join(dir, name(0)));
    const found = await find(segment(1));
    expect([found.start, found.end]).toEqual([wal.records.find((r) => r.start >= segment(1))!.start, wal.at]);
  });

  it('finds the end from every record, and from inside each', async () => {
    for (const record of wal.records.filter((_, i) => i % 10 === 0)) {
      for (const from of [record.start, record.start + 1n, record.end - 1n]) {
        const found = await find(from);
        expect([found.end, found.last]).toEqual([wal.at, wal.records.at(-1)!.start]);
        expect(found.start <= record.start).toBe(true);
      }
    }
  });

  it('takes a `from` inside the unfinished last record back to the end before it', async () => {
    const last = wal.records.at(-1)!;
    const bytes = wal.segment(segment(5));
    bytes.fill(0, Number(last.start - segment(5)) + 1000);
    writeFileSync(join(dir, name(5)), bytes);
    for (const from of [last.start + 500n, last.start + 4000n]) {
      const found = await find(from);
      expect([found.end, found.end < from]).toEqual([last.start, true]);
    }
  });

  it('refuses another system, another segment size, and a place without WAL', async () => {
    await expect(find(segment(1), { systemIdentifier: 8n })).rejects.toThrow(/belongs to the database system 7, not 8/);
    await expect(find(segment(1), { timeline: 2 })).rejects.toThrow(/has no valid WAL record at or before 0\/3100000 on timeline 2/);
    await expect(find(segment(40))).rejects.toThrow(/has no valid WAL record/);
  });

  it('stops when told to, and tells how far it is', async () => {
    const positions: bigint[] = [];
    await find(START, { onProgress: (p: { position: bigint }) => positions.push(p.position) });
    expect(positions.at(-1)).toBe(wal.at);
    expect(positions.length).toBeGreaterThan(5);
    await expect(find(START, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  });
});
