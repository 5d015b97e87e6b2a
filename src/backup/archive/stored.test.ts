import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemFolder } from '../repository.ts';
import { sumOf } from '../sums.ts';
import { TestS3 } from '../testing/s3-server.ts';
import { filledUp } from './partial.ts';
import { StoredArchive } from './stored.ts';

const SIZE = 1 << 20;
const FIRST = '000000010000000000000001';
const cleanup: (() => unknown)[] = [];
let s3: TestS3;
let system: SystemFolder;
let archive: StoredArchive;

beforeEach(async () => {
  s3 = await TestS3.start(cleanup);
  system = new SystemFolder(s3.store(), 'shop-main-7');
  archive = open();
});
afterEach(async () => {
  for (const one of cleanup.splice(0).toReversed()) await one();
});

function open(names: string[] = [], lost: AbortSignal = new AbortController().signal): StoredArchive {
  const opened = new StoredArchive({ system, segmentSize: SIZE, names, lost });
  cleanup.push(() => opened.stop());
  opened.begin({ timeline: 1, lsn: BigInt(SIZE) });
  return opened;
}
/** Bytes that are what they are by where they stand. */
const wal = (from: number, count: number): Buffer => Buffer.from(Array.from({ length: count }, (_, at) => ((from + at) * 31) & 255));
function write(to: StoredArchive, from: number, count: number): void {
  to.write(BigInt(SIZE + from), wal(from, count));
}
async function flushedTo(one: StoredArchive, end: number): Promise<void> {
  while (one.flushed < BigInt(SIZE + end)) {
    one.flush();
    await delay(2);
  }
}
const stored = (name: string): Promise<Buffer | null> => system.store.get(system.key('wal', name));

describe('StoredArchive', () => {
  it('puts whole segments with their checksums, and says so when they are there', async () => {
    write(archive, 0, SIZE + 100);
    expect(archive.flushed).toBe(BigInt(SIZE));
    await flushedTo(archive, SIZE);
    expect((await stored(FIRST))!.equals(wal(0, SIZE))).toBe(true);
    expect((await system.store.get(system.key('sums', FIRST)))!.toString()).toBe(`${sumOf(wal(0, SIZE))}\n`);
  });

  it('puts what there is of the newest one at once when somebody waits, and takes it away when it is whole', async () => {
    write(archive, 0, 1000);
    await flushedTo(archive, 1000);
    write(archive, 1000, 500);
    archive.hurry();
    await flushedTo(archive, 1500);
    expect((await stored(`${FIRST}.partial`))!.equals(wal(0, 1500))).toBe(true);
    write(archive, 1500, SIZE - 1500);
    await flushedTo(archive, SIZE);
    await archive.stop();
    expect(s3.keys().map((key) => key.slice('here/shop-main-7/'.length))).toEqual([`sums/${FIRST}`, `wal/${FIRST}`]);
  });

  it('does the same again without harm, and goes on behind what there is', async () => {
    write(archive, 0, SIZE);
    await flushedTo(archive, SIZE);
    const again = open([FIRST]);
    expect(again.end()).toEqual({ timeline: 1, lsn: BigInt(2 * SIZE) });
    write(again, 0, SIZE);
    await flushedTo(again, SIZE);
  });

  it.each([true, false])('never replaces a segment by another one (conditional writes: %s)', async (conditional) => {
    s3 = await TestS3.start(cleanup, { conditional });
    system = new SystemFolder(s3.store(), 'shop-main-7');
    const other = open();
    await system.store.put(system.key('wal', FIRST), Buffer.alloc(SIZE));
    write(other, 0, SIZE);
    await expect(flushedTo(other, SIZE)).rejects.toMatchObject({ code: 'wal-invalid', message: expect.stringContaining(FIRST) });
    expect((await stored(FIRST))!.equals(Buffer.alloc(SIZE))).toBe(true);
    expect(other.flushed).toBe(BigInt(SIZE));
  });

  it('says nothing is durable of what could not be put, and fails the next call', async () => {
    s3.fault = ({ method }) => (method === 'PUT' ? { kind: 'status', status: 403, code: 'AccessDenied' } : null);
    write(archive, 0, SIZE);
    await expect(flushedTo(archive, SIZE)).rejects.toMatchObject({ code: 'permission' });
    expect(() => write(archive, SIZE, 1)).toThrow(expect.objectContaining({ code: 'permission' }));
    expect(archive.flushed).toBe(BigInt(SIZE));
  });

  it('puts none before those that it follows', async () => {
    s3.fault = ({ method, key }) => (method === 'PUT' && key.endsWith(`wal/${FIRST}`) ? { kind: 'status', status: 403, code: 'AccessDenied' } : null);
    write(archive, 0, 3 * SIZE + 10);
    await expect(flushedTo(archive, SIZE)).rejects.toMatchObject({ code: 'permission' });
    await archive.stop();
    expect(s3.keys().filter((key) => key.includes('/wal/'))).toEqual([]);
  });

  it('writes nothing more when the lock is lost', async () => {
    const lost = new AbortController();
    const one = open([], lost.signal);
    lost.abort(Object.assign(new Error('lost'), { code: 'locked' }));
    write(one, 0, SIZE);
    await expect(flushedTo(one, SIZE)).rejects.toMatchObject({ code: 'locked' });
    expect(s3.keys()).toEqual([]);
  });

  it('is full when too much waits, and not when it has been put', async () => {
    for (let at = 0; at < 64; at++) {
      expect(archive.full).toBe(false);
      archive.write(BigInt(SIZE * (at + 1)), Buffer.alloc(SIZE));
    }
    expect(archive.full).toBe(true);
    await flushedTo(archive, SIZE);
    expect(archive.full).toBe(false);
  });

  it('keeps the history of a timeline, and counts nothing of the old timeline for the new one', async () => {
    archive.saveHistory(2, '1\t0/180000\tno recovery target specified\n');
    write(archive, 0, SIZE);
    archive.begin({ timeline: 2, lsn: BigInt(SIZE) });
    while (!s3.keys().some((key) => key.endsWith(`wal/${FIRST}`))) await delay(2);
    expect((await stored('00000002.history'))!.toString()).toContain('0/180000');
    expect(archive.flushed).toBe(BigInt(SIZE));
    write(archive, 0, 10);
    await flushedTo(archive, 10);
    expect((await stored('000000020000000000000001.partial'))!.length).toBe(10);
  });

  it('refuses WAL that does not follow', () => {
    expect(() => write(archive, 5, 10)).toThrow(expect.objectContaining({ code: 'wal-invalid' }));
  });
});

describe('filledUp', () => {
  /** The long header of a page of PostgreSQL 18. */
  function header(segmentSize: number): Buffer {
    const bytes = Buffer.alloc(100, 1);
    bytes.writeUInt16LE(0xd118, 0);
    bytes.writeUInt16LE(0x0002, 2);
    bytes.writeUInt32LE(segmentSize, 32);
    return bytes;
  }

  it('fills a part up with zeros to the size that its first page tells', () => {
    const whole = filledUp(header(SIZE));
    expect([whole.length, whole.subarray(0, 100).equals(header(SIZE)), whole.subarray(100).every((byte) => byte === 0)]).toEqual([SIZE, true, true]);
    expect(filledUp(whole)).toBe(whole);
  });

  it.each([['too short', Buffer.alloc(10)], ['no page', Buffer.alloc(100)], ['no segment size', header(12345)]])('leaves alone what is %s', (_what, bytes) => {
    expect(filledUp(bytes)).toBe(bytes);
  });
});
