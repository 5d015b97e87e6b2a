/** Writes one file from the parts that a lineage of backups has of it, with bounded memory. */
import { type FileHandle, open } from 'node:fs/promises';
import { type ChecksumAlgorithm, makeChecksum } from '../../engine/basebackup/checksum.ts';
import { BLOCK_BYTES, readExactly, readHeader } from './header.ts';
import { type FilePlan, type Layer, planFile } from './plan.ts';

/** A megabyte at a time. */
const RUN_BLOCKS = 128;

/** The file of one backup, and how it is named to a person. */
export interface Part {
  file: Buffer;
  shown: string;
  whole: boolean;
}

export type Rebuilt = { copyOf: number } | { size: number; hex: string };

/** Changes blocks on their way: `piece` has those from `block` on, all from layer `layer`. */
export type Mend = (piece: Buffer, block: number, layer: number) => Promise<void>;

/**
 * @param parts from the newest backup back to the one that has all of the file.
 * @param mend where the file is not to be as it comes.
 * @returns where it is the same as one of them, which, and writes nothing; else what was written to `to`.
 * Throws PgorbitError `backup-damaged` that names the part, system errors, and what the signal was aborted with.
 */
export async function rebuildFile(parts: readonly Part[], to: Buffer, algorithm: ChecksumAlgorithm, signal: AbortSignal, mend: Mend | null = null): Promise<Rebuilt> {
  return withPlan(parts, async (plan, handles) => {
    if (plan.same !== null && mend === null) return { copyOf: plan.same };
    const target = await open(to, 'wx', 0o600);
    try {
      const checksum = makeChecksum(algorithm);
      const buffer = Buffer.allocUnsafe(RUN_BLOCKS * BLOCK_BYTES);
      let block = 0;
      for (const { layer, at, count } of plan.runs(RUN_BLOCKS)) {
        signal.throwIfAborted();
        const bytes = count * BLOCK_BYTES;
        const piece = layer === null ? buffer.fill(0, 0, bytes).subarray(0, bytes) : await readExactly(handles[layer]!, at, bytes, parts[layer]!.shown, buffer);
        if (layer !== null) await mend?.(piece, block, layer);
        await target.writeFile(piece);
        checksum.update(piece);
        block += count;
      }
      return { size: plan.blocks * BLOCK_BYTES, hex: checksum.hex() };
    } finally {
      await target.close();
    }
  });
}

/** Where each block of a file comes from. Throws as rebuildFile does. */
export function planOf(parts: readonly Part[]): Promise<FilePlan> {
  return withPlan(parts, async (plan) => plan);
}

async function withPlan<T>(parts: readonly Part[], work: (plan: FilePlan, handles: FileHandle[]) => Promise<T>): Promise<T> {
  const handles: FileHandle[] = [];
  try {
    const layers: Layer[] = [];
    for (const { file, shown, whole } of parts) {
      const handle = await open(file, 'r');
      handles.push(handle);
      layers.push(whole ? { bytes: (await handle.stat()).size } : { header: await readHeader(handle, shown) });
    }
    return await work(planFile(layers), handles);
  } finally {
    for (const handle of handles) await handle.close();
  }
}
