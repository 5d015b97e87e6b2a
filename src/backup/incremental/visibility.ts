/**
 * The visibility map of a table in a combined backup.
 *
 * When a change to a table clears bits of its visibility map, WAL does not name the map's block (heap_insert(), heap_update(),
 * heap_delete() and heap_lock_tuple() up to PostgreSQL 18; replay knows by itself), so that WAL summaries do not have it, and
 * an incremental backup keeps the map of before. Restored so, the map would call pages all-visible that are not, and
 * index-only scans would find rows that are deleted. What clears a bit does name the table's block, though. So a bit stays
 * only where the block of the map is at least as new as the block of the table. A cleared bit is always right: the next
 * vacuum sets it again. Setting a bit names both. Pure.
 */
import { BLOCK_BYTES } from './header.ts';

const PAGE_HEADER_BYTES = 24;
/** Two bits for each block of the table: all-visible, all-frozen. */
const PER_BYTE = 4;

/** Blocks of a table that one page of its map speaks of. */
export const TABLE_BLOCKS = (BLOCK_BYTES - PAGE_HEADER_BYTES) * PER_BYTE;

/** The table whose visibility map's first segment this file is, or null. One segment speaks of 32 TB: there is no other. */
export function tableOf(path: string): string | null {
  return /^(.*\/\d+)_vm$/.exec(path)?.[1] ?? null;
}

/**
 * @param page of the map, its `number`th.
 * @param keeps tells of a block of the table whether what the page says of it may stay.
 * @returns whether the page was changed.
 */
export function clearStale(page: Buffer, number: number, keeps: (block: number) => boolean): boolean {
  let changed = false;
  for (let at = PAGE_HEADER_BYTES; at < BLOCK_BYTES; at++) {
    const bits = page[at]!;
    if (bits === 0) continue;
    let kept = bits;
    for (let n = 0; n < PER_BYTE; n++) if (!keeps(number * TABLE_BLOCKS + (at - PAGE_HEADER_BYTES) * PER_BYTE + n)) kept &= ~(3 << (2 * n));
    if (kept === bits) continue;
    page[at] = kept;
    changed = true;
  }
  return changed;
}
