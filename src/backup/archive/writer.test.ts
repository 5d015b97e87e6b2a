import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sumOf } from '../sums.ts';
import { FolderArchive, archiveEnd } from './writer.ts';

const MB = 1 << 20;
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-archive-'));
  for (const name of ['wal', 'sums']) mkdirSync(join(dir, name));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const open = (): FolderArchive => new FolderArchive(join(dir, 'wal'), join(dir, 'sums'), MB);
const bytes = (length: number, value: number): Buffer => Buffer.alloc(length, value);

describe('archiveEnd', () => {
  it('is behind the last whole segment of the newest timeline', () => {
    expect(archiveEnd([], MB)).toBe(null);
    expect(archiveEnd(['000000010000000000000003', '000000010000000000000004.partial', '00000002.history'], MB)).toEqual({ timeline: 1, lsn: 0x400000n });
    expect(archiveEnd(['000000010000000000000009', '000000020000000000000004.partial'], MB)).toEqual({ timeline: 2, lsn: 0x400000n });
  });

  it('leaves out timelines that are not on the way to the present one', () => {
    const names = ['000000010000000000000003', '000000020000000000000004.partial'];
    expect(archiveEnd(names, MB, { timeline: 3, parents: [{ timeline: 1, switchpoint: 0x412345n, reason: '' }] })).toEqual({ timeline: 1, lsn: 0x400000n });
    expect(archiveEnd(names, MB, { timeline: 2, parents: [] })).toEqual({ timeline: 2, lsn: 0x400000n });
  });
});

describe('FolderArchive', () => {
  it('names a segment when it is whole, and its checksum is there by then', () => {
    const writer = open();
    writer.begin({ timeline: 1, lsn: 0x312345n });
    writer.write(0x300000n, bytes(MB - 10, 1));
    expect(readdirSync(join(dir, 'wal'))).toEqual(['000000010000000000000003.partial']);
    writer.write(0x300000n + BigInt(MB - 10), bytes(30, 2));
    expect(readdirSync(join(dir, 'wal')).sort()).toEqual(['000000010000000000000003', '000000010000000000000004.partial']);
    const whole = readFileSync(join(dir, 'wal', '000000010000000000000003'));
    expect(whole.equals(Buffer.concat([bytes(MB - 10, 1), bytes(10, 2)]))).toBe(true);
    expect(readFileSync(join(dir, 'sums', '000000010000000000000003'), 'latin1').trim()).toBe(sumOf(whole));
    expect(writer.flushed).toBe(0x400000n);
    writer.flush();
    expect(writer.flushed).toBe(0x400014n);
    writer.close();
    expect(open().end()).toEqual({ timeline: 1, lsn: 0x400000n });
  });

  it('writes a part again from its start, and leaves what lies behind', () => {
    const first = open();
    first.begin({ timeline: 1, lsn: 0x300000n });
    first.write(0x300000n, bytes(100, 1));
    first.close();
    const second = open();
    second.begin({ timeline: 1, lsn: 0x300000n });
    second.write(0x300000n, bytes(50, 2));
    second.close();
    const part = readFileSync(join(dir, 'wal', '000000010000000000000003.partial'));
    expect(part.length).toBe(MB);
    expect(part.subarray(0, 120)).toEqual(Buffer.concat([bytes(50, 2), bytes(50, 1), bytes(20, 0)]));
  });

  it('takes WAL in order only', () => {
    const writer = open();
    writer.begin({ timeline: 1, lsn: 0x300000n });
    expect(() => writer.write(0x300008n, bytes(8, 1))).toThrow(expect.objectContaining({ code: 'wal-invalid' }));
    expect(existsSync(join(dir, 'wal', '000000010000000000000003.partial'))).toBe(false);
  });
});
