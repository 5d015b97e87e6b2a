/** Writes one file from the parts that a lineage of backups has of it, with bounded memory. */
import { type FileHandle, open } from 'node:fs/promises';
import { type ChecksumAlgorithm, makeChecksum } from '../../engine/basebackup/checksum.ts';
import { BLOCK_BYTES, readExactly, readHeader } from './header.ts';
import { type Layer, planFile } from './plan.ts';

/** A megabyte at a time. */
const RUN_BLOCKS = 128;

/** The file of one backup, and how it is named to a person. */
export interface Part {
  file: Buffer;
  shown: string;
  whole: boolean;
}

export type Rebuilt = { copyOf: number } | { size: number; hex: string };

/**
 * @param parts from the newest backup back to the one that has all of the file.
 * @returns where it is the same as one of them, which, and writes nothing; else what was written to `to`.
 * Throws PgorbitError `backup-damaged` that names the part, system errors, and what the signal was aborted with.
 */
export async function rebuildFile(parts: readonly Part[], to: Buffer, algorithm: ChecksumAlgorithm, signal: AbortSignal): Promise<Rebuilt> {
  const handles: FileHandle[] = [];
  try {
    const layers: Layer[] = [];
    for (const { file, shown, whole } of parts) {
      const handle = await open(file, 'r');
      handles.push(handle);
      layers.push(whole ? { bytes: (await handle.stat()).size } : { header: await readHeader(handle, shown) });
    }
    const plan = planFile(layers);
    if (plan.same !== null) return { copyOf: plan.same };
    const target = await open(to, 'wx', 0o600);
    handles.push(target);
    const checksum = makeChecksum(algorithm);
    const buffer = Buffer.allocUnsafe(RUN_BLOCKS * BLOCK_BYTES);
    for (const { layer, at, count } of plan.runs(RUN_BLOCKS)) {
      signal.throwIfAborted();
      const bytes = count * BLOCK_BYTES;
      const piece = layer === null ? buffer.fill(0, 0, bytes).subarray(0, bytes) : await readExactly(handles[layer]!, at, bytes, parts[layer]!.shown, buffer);
      await target.writeFile(piece);
      checksum.update(piece);
    }
    return { size: plan.blocks * BLOCK_BYTES, hex: checksum.hex() };
  } finally {
    for (const handle of handles) await handle.close();
  }
}
