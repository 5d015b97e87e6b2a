/** Where each block of a file comes from that a chain of backups has in parts. Pure. */
import { BLOCK_BYTES, type Header } from './header.ts';

/** A file of one backup: part of it, or all of it, so many bytes. */
export type Layer = { header: Header } | { bytes: number };

/** `count` blocks in a row: from `at` on in the file of layer `layer`, or zeroes where that is null. */
export interface Run {
  layer: number | null;
  /** Bytes. */
  at: number;
  count: number;
}

export interface FilePlan {
  /** Blocks of the whole file. */
  blocks: number;
  /** The layer from which a block comes; null for one of zeroes, or beyond the end. */
  layerOf: (block: number) => number | null;
  /** The layer that is the whole file, where it is one. */
  same: number | null;
  /** At most `most` blocks each. */
  runs: (most: number) => Generator<Run>;
}

/**
 * @param layers of the same file, from the newest backup back to the one that has all of it.
 *
 * What one backup lacks is as the backup before it, up to its truncation length and as far as that one reaches, and
 * zeroes otherwise: a relation that is extended has blocks that no WAL speaks of until something is in them. So a block
 * from behind the least truncation length on the way is not taken, though an older backup may have one there: it is from
 * before the file was cut.
 */
export function planFile(layers: readonly Layer[]): FilePlan {
  const [newest] = layers;
  const blocks = newest === undefined ? 0 : lengthOf(newest);
  const from = new Int32Array(blocks).fill(-1);
  const at = new Uint32Array(blocks);
  let limit = blocks;
  for (const [index, layer] of layers.entries()) {
    if ('bytes' in layer) {
      const end = Math.min(limit, lengthOf(layer));
      for (let block = 0; block < end; block++) if (from[block] === -1) [from[block], at[block]] = [index, block];
      break;
    }
    for (const [place, block] of layer.header.blocks.entries()) if (block < limit && from[block] === -1) [from[block], at[block]] = [index, place];
    limit = Math.min(limit, layer.header.truncation);
  }
  const dataAt = layers.map((layer) => ('header' in layer ? layer.header.dataAt : 0));
  const last = layers.length - 1;
  const whole = layers[last];
  const same = whole !== undefined && 'bytes' in whole && whole.bytes === blocks * BLOCK_BYTES && from.every((layer) => layer === last) ? last : null;
  const layerOf = (block: number): number | null => (block < blocks && from[block] !== -1 ? from[block]! : null);
  return { blocks, layerOf, same, runs: (most) => runsOf(from, at, dataAt, most) };
}

function lengthOf(layer: Layer): number {
  if ('bytes' in layer) return Math.floor(layer.bytes / BLOCK_BYTES);
  return layer.header.blocks.reduce((most, block) => Math.max(most, block + 1), layer.header.truncation);
}

function* runsOf(from: Int32Array, at: Uint32Array, dataAt: readonly number[], most: number): Generator<Run> {
  for (let begin = 0; begin < from.length; ) {
    const layer = from[begin]!;
    let end = begin + 1;
    while (end < from.length && end - begin < most && from[end] === layer && (layer === -1 || at[end] === at[end - 1]! + 1)) end++;
    const count = end - begin;
    yield layer === -1 ? { layer: null, at: 0, count } : { layer, at: dataAt[layer]! + at[begin]! * BLOCK_BYTES, count };
    begin = end;
  }
}
