import { describe, expect, it } from 'vitest';
import type { WalkedRecord } from '../../wal/walker.ts';
import { ChangedBlocks, checkpointOf, turnsFullPageWritesOff } from './changes.ts';

/** A record of block references (tablespace, relation, fork, block) and main data. */
function record(rmid: number, info: number, blocks: [number, number, number, number][] = [], data = Buffer.alloc(0)): WalkedRecord {
  const parts: Buffer[] = [];
  for (const [id, [tablespace, relation, fork, block]] of blocks.entries()) {
    const ref = Buffer.alloc(20);
    ref.writeUInt8(id, 0);
    ref.writeUInt8(fork, 1);
    for (const [index, value] of [tablespace, 5, relation, block].entries()) ref.writeUInt32LE(value, 4 + 4 * index);
    parts.push(ref);
  }
  if (data.length > 0) parts.push(Buffer.from([255, data.length]), data);
  const header = Buffer.alloc(24);
  const head = Buffer.concat([header, ...parts]);
  head.writeUInt32LE(head.length, 0);
  head.writeUInt8(info, 16);
  head.writeUInt8(rmid, 17);
  return { start: 0x3000100n, end: 0x3000100n + BigInt(head.length), totalLength: head.length, head };
}

describe('changed blocks', () => {
  it('are collected by segment file, main forks only', () => {
    const changed = new ChangedBlocks();
    changed.add(record(10, 0, [[1663, 16384, 0, 3], [1663, 16384, 0, 131_072], [1663, 16384, 2, 0]]));
    changed.add(record(11, 0, [[1663, 16385, 0, 1], [1663, 16384, 0, 3]]));
    expect([...changed.files].map(([path, blocks]) => [path, [...blocks]])).toEqual([['base/5/16384', [3]], ['base/5/16384.1', [0]], ['base/5/16385', [1]]]);
  });

  it('are refused in other tablespaces', () => {
    expect(() => new ChangedBlocks().add(record(10, 0, [[16500, 1, 0, 3]]))).toThrow(/tablespace 16500/);
  });

  it('are refused where a record changes files in a way that nobody knows here', () => {
    const changed = new ChangedBlocks();
    for (const [rmid, info] of [[1, 0x01], [1, 0xb1], [1, 0x21], [1, 0x41], [2, 0x11], [4, 0x01], [4, 0x11], [4, 0x21]] as const) changed.add(record(rmid, info));
    for (const [rmid, info] of [[1, 0x11], [2, 0x31], [4, 0x31], [0, 0x01], [10, 0x01], [128, 0x00]] as const) {
      expect(() => changed.add(record(rmid, info))).toThrow(new RegExp(`0/3000100 \\(resource manager ${rmid}`));
    }
    changed.add(record(10, 0x02)); // to be checked for consistency, no more
  });

  it('know the shortest that a relation was cut to', () => {
    const changed = new ChangedBlocks();
    const cut = (length: number): Buffer<ArrayBuffer> => {
      const data = Buffer.alloc(20);
      for (const [index, value] of [length, 1663, 5, 16384, 1].entries()) data.writeUInt32LE(value, 4 * index);
      return data;
    };
    for (const length of [40, 7, 90]) changed.add(record(2, 0x21, [], cut(length)));
    expect([...changed.truncated]).toEqual([['base/5/16384', 7]]);
  });
});

describe('full_page_writes', () => {
  it('are seen to go off', () => {
    expect(turnsFullPageWritesOff(record(0, 0x80, [], Buffer.from([1])))).toBe(false);
    expect(turnsFullPageWritesOff(record(0, 0x80, [], Buffer.from([0])))).toBe(true);
    expect(turnsFullPageWritesOff(record(0, 0x10, [], Buffer.from([0])))).toBe(false);
  });
});

describe('a checkpoint\'s record', () => {
  it('says where replay begins', () => {
    const data = Buffer.alloc(88);
    data.writeBigUInt64LE(0x3000028n, 0);
    data.writeUInt32LE(4, 8);
    data.writeUInt8(1, 16);
    for (const info of [0x00, 0x10]) {
      expect(checkpointOf(record(0, info, [], data))).toMatchObject({ start: 0x3000100n, redo: 0x3000028n, timeline: 4, fullPageWrites: true });
    }
    expect(checkpointOf(record(0, 0x90, [], data))).toBeNull();
    expect(checkpointOf(record(1, 0x10, [], data))).toBeNull();
  });
});
