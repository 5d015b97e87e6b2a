import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { segmentName } from '../lsn.ts';
import { WalBuilder } from '../testing/builder.ts';
import { DurableState } from './state.ts';
import { WalStore } from './store.ts';

const MB = 1 << 20;
const START = 0x0300_0000n;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-store-'));
  mkdirSync(join(dir, 'wal'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const openStore = (): Promise<WalStore> => WalStore.open(join(dir, 'wal'), DurableState.open(join(dir, 'state')), { maxSpares: 2 });
const file = (at: bigint, timeline = 1): string => join(dir, 'wal', segmentName(timeline, at, MB));

/** WAL of `megabytes`, and a store that has just begun. */
async function begun(megabytes: number): Promise<{ store: WalStore; wal: WalBuilder; bytes: Buffer }> {
  const wal = new WalBuilder({ start: START, segmentSize: MB });
  while (wal.at < START + BigInt(megabytes * MB)) wal.record(3000 + (wal.records.length % 500));
  const bytes = Buffer.concat(Array.from({ length: megabytes + 1 }, (_, i) => wal.segment(START + BigInt(i * MB))));
  const store = await openStore();
  store.state.save({ systemIdentifier: '7', segmentSize: MB });
  store.begin({ timeline: 1, parents: [] }, START + 100n);
  return { store, wal, bytes: bytes.subarray(0, Number(wal.at - START)) };
}

function writeAll(store: WalStore, bytes: Buffer, upTo = bytes.length, step = 50_000): void {
  for (let at = Number(store.written! - START); at < upTo; at += step) store.write(START + BigInt(at), bytes.subarray(at, Math.min(at + step, upTo)));
}

describe('the store', () => {
  it('keeps standard segments, byte for byte, and comes back to the last whole record', async () => {
    const { store, wal, bytes } = await begun(3);
    writeAll(store, bytes);
    expect(store.flush()).toBe(wal.at);
    store.close();
    for (let i = 0n; i < 4n; i++) expect(readFileSync(file(START + i * BigInt(MB))).equals(wal.segment(START + i * BigInt(MB)))).toBe(true);
    expect((await openStore()).flushed).toBe(wal.at);
  });

  it('counts nothing as flushed before it is, except whole segments', async () => {
    const { store, bytes } = await begun(2);
    writeAll(store, bytes, 500_000);
    expect(store.flushed).toBe(START);
    writeAll(store, bytes, MB + 500);
    expect([store.flushed, store.written]).toEqual([START + BigInt(MB), START + BigInt(MB + 500)]);
    store.rollBack();
    expect(store.written).toBe(START + BigInt(MB));
    expect(() => store.write(START, bytes.subarray(0, 10))).toThrow(/was due/);
  });

  it('does not look beyond a hole that a power failure left in the last segment', async () => {
    const { store, wal, bytes } = await begun(2);
    writeAll(store, bytes, MB + 600_000);
    store.close();
    // Pages at the end of the unsynced part reached the disk, those before them did not.
    const fd = openSync(file(START + BigInt(MB)), 'r+');
    writeSync(fd, Buffer.alloc(8192 * 4), 0, 8192 * 4, 8192 * 20);
    closeSync(fd);
    const hole = START + BigInt(MB + 8192 * 20);
    expect((await openStore()).flushed).toBe(wal.records.findLast((record) => record.end <= hole)!.end);
  });

  it('cuts off what is not in the new history, and goes over to the new timeline with its first bytes', async () => {
    const { store, wal, bytes } = await begun(3);
    writeAll(store, bytes);
    store.flush();
    const fork = wal.records.find((record) => record.start > START + BigInt(MB + 300_000))!.start;
    store.truncate(fork);
    expect([store.flushed, existsSync(file(START + BigInt(2 * MB)))]).toEqual([fork, false]);
    const history = store.saveHistory(2, `1\t0/${fork.toString(16)}\ttest\n`);
    store.switchTimeline(history);
    const copied = readFileSync(file(fork, 2));
    const length = Number(fork - START) - MB;
    expect(copied.subarray(0, length).equals(bytes.subarray(MB, MB + length))).toBe(true);
    expect(copied.subarray(length).every((byte) => byte === 0)).toBe(true);
    store.close();
    const again = await openStore();
    expect([again.timeline, again.flushed]).toEqual([2, fork]);
    expect(again.arrivedOn, 'nothing of the second has come').toBe(1);
    again.write(fork, bytes.subarray(MB + length, MB + length + 8192));
    again.flush();
    expect(again.arrivedOn).toBe(2);
    expect(() => again.switchTimeline(history)).toThrow(/does not begin at/);
  });

  it('uses purged segments again, whose old pages never pass for new WAL', async () => {
    const { store, wal, bytes } = await begun(4);
    writeAll(store, bytes, 3 * MB);
    store.flush();
    store.remove([segmentName(1, START, MB), segmentName(1, START + BigInt(MB), MB)]);
    expect(existsSync(join(dir, 'wal', 'spare.1'))).toBe(true);
    writeAll(store, bytes);
    store.flush();
    expect(existsSync(join(dir, 'wal', 'spare.0')) && existsSync(join(dir, 'wal', 'spare.1'))).toBe(false);
    store.close();
    expect((await openStore()).flushed).toBe(wal.at);
  });
});

it('a logger whose WAL is gone does not start as if it had never had any', async () => {
  const { store, bytes } = await begun(1);
  writeAll(store, bytes, 5000);
  store.flush();
  store.state.save({ walTerm: 3 });
  store.close();
  rmSync(file(START));
  await expect(openStore()).rejects.toThrow(/is empty, and this logger has acknowledged WAL in term 3/);
});

describe('the state', () => {
  it('survives, and damage is never taken for a fresh start', () => {
    const path = join(dir, 'state');
    DurableState.open(path).save({ promisedTerm: 7, slots: { a: { restartLsn: '0/1' } } });
    expect(DurableState.open(path).value).toMatchObject({ promisedTerm: 7, slots: { a: { restartLsn: '0/1' } } });
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace('"promisedTerm":7', '"promisedTerm":6'));
    expect(() => DurableState.open(path)).toThrow(/checksum is wrong/);
    writeFileSync(path, text.slice(0, 20));
    expect(() => DurableState.open(path)).toThrow(/not a logger's state/);
    writeFileSync(path, '');
    expect(() => DurableState.open(path)).toThrow(/not a logger's state/);
    writeFileSync(path, text.replace(/^1/, '2'));
    expect(() => DurableState.open(path)).toThrow(/version 2/);
  });

  it('is unchanged where saving failed', () => {
    const state = DurableState.open(join(dir, 'state'));
    state.save({ promisedTerm: 1 });
    rmSync(dir, { recursive: true });
    expect(() => state.save({ promisedTerm: 2 })).toThrow(/ENOENT/);
    expect(state.value.promisedTerm).toBe(1);
    mkdirSync(dir);
  });
});
