/** Reads what visibility.ts has to know, and applies it to the map of a table that is being rebuilt. */
import { BLOCK_BYTES, SEGMENT_BLOCKS } from './header.ts';
import type { Descent } from './lineage.ts';
import { isNewPage, setPageChecksum } from './page.ts';
import { partsOf } from './parts.ts';
import type { FilePlan } from './plan.ts';
import { type Mend, planOf } from './rebuild.ts';
import { TABLE_BLOCKS, clearStale } from './visibility.ts';

/** Takes out of a visibility map what was not kept in step with its table (visibility.ts). */
export function mendMap(all: readonly Pick<Descent, 'dir' | 'manifest' | 'control'>[], table: string): Mend {
  const checksums = all.at(-1)!.control.dataChecksumVersion !== 0;
  // One page of a map speaks of a quarter of a segment: two are looked at in turn at most.
  const plans = new Map<number, FilePlan>();
  const load = async (segment: number): Promise<void> => {
    if (plans.has(segment)) return;
    for (const one of plans.keys()) if (one < segment - 1) plans.delete(one);
    plans.set(segment, await planOf(partsOf(all, segment === 0 ? table : `${table}.${segment}`)));
  };
  return async (piece, first, layer) => {
    for (let at = 0; at < piece.length; at += BLOCK_BYTES) {
      const page = piece.subarray(at, at + BLOCK_BYTES);
      const number = first + at / BLOCK_BYTES;
      if (isNewPage(page)) continue;
      await load(Math.floor((number * TABLE_BLOCKS) / SEGMENT_BLOCKS));
      await load(Math.floor(((number + 1) * TABLE_BLOCKS - 1) / SEGMENT_BLOCKS));
      // Layers are counted from the newest: a larger number is older.
      const keeps = (block: number): boolean => (plans.get(Math.floor(block / SEGMENT_BLOCKS))!.layerOf(block % SEGMENT_BLOCKS) ?? -1) >= layer;
      if (clearStale(page, number, keeps) && checksums) setPageChecksum(page, number);
    }
  };
}
