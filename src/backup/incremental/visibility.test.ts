import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES } from './header.ts';
import { isNewPage, pageChecksum, setPageChecksum } from './page.ts';
import { TABLE_BLOCKS, clearStale, tableOf } from './visibility.ts';

const full = (): Buffer => Buffer.alloc(BLOCK_BYTES, 0xff);

describe('clearStale', () => {
  it('clears both bits of the blocks that are not to be kept, and of no others', () => {
    const page = full();
    expect(clearStale(page, 2, (block) => block !== 2 * TABLE_BLOCKS + 5)).toBe(true);
    expect(page[25]).toBe(0b1111_0011);
    expect(page.filter((byte) => byte !== 0xff)).toHaveLength(1);
  });

  it('speaks of 32672 blocks a page, and leaves the header alone', () => {
    const page = full();
    const asked: number[] = [];
    clearStale(page, 1, (block) => {
      asked.push(block);
      return false;
    });
    expect([Math.min(...asked), Math.max(...asked), asked.length]).toEqual([32_672, 65_343, 32_672]);
    expect(page.subarray(0, 24).every((byte) => byte === 0xff)).toBe(true);
    expect(page.subarray(24).every((byte) => byte === 0)).toBe(true);
  });

  it('says when nothing changed', () => {
    expect(clearStale(full(), 0, () => true)).toBe(false);
    expect(clearStale(Buffer.alloc(BLOCK_BYTES), 0, () => false)).toBe(false);
  });
});

it.each([['base/5/16384_vm', 'base/5/16384'], ['global/1260_vm', 'global/1260'], ['base/5/16384', null], ['base/5/16384_fsm', null], ['base/5/16384_vm.1', null]])('%s is the map of %s', (path, table) => {
  expect(tableOf(path)).toBe(table);
});

describe('pageChecksum', () => {
  it('depends on every word and on the block, not on the checksum that is there', () => {
    const page = full();
    const sum = pageChecksum(page, 7);
    expect(sum).toBeGreaterThan(0);
    expect(pageChecksum(page, 8)).not.toBe(sum);
    for (const at of [0, 10, 12, 4096, BLOCK_BYTES - 1]) {
      const changed = Buffer.from(page);
      changed[at]! ^= 1;
      expect(pageChecksum(changed, 7), `byte ${at}`).not.toBe(sum);
    }
    setPageChecksum(page, 7);
    expect(page.readUInt16LE(8)).toBe(sum);
    expect(pageChecksum(page, 7)).toBe(sum);
  });

  it('a page of zeroes is new', () => {
    expect([isNewPage(Buffer.alloc(BLOCK_BYTES)), isNewPage(full())]).toEqual([true, false]);
  });
});
