import { expect, it } from 'vitest';
import { Slabs } from './slabs.ts';

const SLAB = 512 * 1024;

it('what goes on lies in one piece as long as the slab lasts, and keeps what was copied', () => {
  const memory = new Slabs();
  const first = memory.copy(Buffer.alloc(300_000, 1), undefined);
  const longer = memory.copy(Buffer.alloc(100_000, 2), first);
  expect([longer.byteOffset, longer.length]).toEqual([first.byteOffset, 400_000]);
  const full = memory.copy(Buffer.alloc(SLAB, 3), longer);
  expect(full.length).toBe(SLAB);
  const next = memory.copy(Buffer.alloc(5, 4), full);
  expect([next.length, next.buffer === full.buffer]).toEqual([5, false]);
  expect([full[0], full[299_999], full[300_000], full[399_999], full[400_000], full[SLAB - 1], next[0]]).toEqual([1, 1, 2, 2, 3, 3, 4]);
});

it('another file begins a page, in a piece of its own', () => {
  const memory = new Slabs();
  const one = memory.copy(Buffer.alloc(10, 1), undefined);
  memory.beginPage();
  const other = memory.copy(Buffer.alloc(20, 2), undefined);
  expect([other.byteOffset - one.byteOffset, other.length]).toEqual([4096, 20]);
});

it('uses memory again when all of it is released, and not before', () => {
  const memory = new Slabs();
  const one = memory.copy(Buffer.alloc(SLAB / 2, 1), undefined);
  const two = memory.copy(Buffer.alloc(SLAB / 2, 2), undefined);
  const three = memory.copy(Buffer.alloc(SLAB, 3), undefined);
  memory.release(one);
  const four = memory.copy(Buffer.alloc(SLAB, 4), undefined);
  expect(four.buffer).not.toBe(one.buffer);
  expect([two[0], three[0]]).toEqual([2, 3]);
  memory.release(two);
  memory.release(three);
  const later = [5, 6].map((byte) => memory.copy(Buffer.alloc(SLAB, byte), undefined).buffer);
  expect(new Set(later)).toEqual(new Set([one.buffer, three.buffer]));
  expect(four[0]).toBe(4);
});
