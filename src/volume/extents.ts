/** Where files lie on the disk, from FIEMAP by way of the filefrag program (e2fsprogs). */
import { run, which } from './command.ts';

/**
 * A file's extents as pairs [physical start, length] in bytes, in one flat array. Start -1: occupies space that has
 * no place of its own to compare (inline in metadata, or not yet written out).
 */
export type Extents = Float64Array;

const BATCH = 200;

export async function canReadExtents(): Promise<boolean> {
  return (await which('filefrag')) !== null;
}

/**
 * The extents of each file, by path. Files that vanished are missing from the answer.
 * Paths must be absolute and without line breaks (PostgreSQL's are).
 */
export async function readExtents(files: readonly string[], signal?: AbortSignal): Promise<Map<string, Extents>> {
  const all = new Map<string, Extents>();
  for (let from = 0; from < files.length; from += BATCH) {
    signal?.throwIfAborted();
    const { stdout } = await run('filefrag', ['-v', ...files.slice(from, from + BATCH)], { signal });
    for (const [file, extents] of parseFilefrag(stdout)) all.set(file, extents);
  }
  return all;
}

/** The number of extents of one file. Cheap beside cloning it; null where it cannot be told. */
export async function countExtents(file: string): Promise<number | null> {
  const { stdout } = await run('filefrag', [file]);
  const match = /: (\d+) extents? found\s*$/.exec(stdout);
  return match ? Number(match[1]) : null;
}

/** Reads `filefrag -v` of several files. */
export function parseFilefrag(text: string): Map<string, Extents> {
  const result = new Map<string, Extents>();
  let file: string | null = null;
  let blockSize = 4096;
  let pairs: number[] = [];
  const finish = (): void => {
    if (file !== null) result.set(file, Float64Array.from(pairs));
    pairs = [];
  };
  for (const line of text.split('\n')) {
    const header = /^File size of (.*) is \d+ \(\d+ blocks? of (\d+) bytes\)$/.exec(line);
    if (header) {
      finish();
      file = header[1]!;
      blockSize = Number(header[2]);
      continue;
    }
    const extent = /^ *\d+: *\d+\.\. *\d+: *(\d+)\.\. *\d+: *(\d+):(.*)$/.exec(line);
    if (!extent) continue;
    const placeless = /inline|not_aligned|delalloc|unknown_loc/.test(extent[3]!);
    const start = placeless ? -1 : Number(extent[1]) * blockSize;
    const length = /inline/.test(extent[3]!) ? 0 : Number(extent[2]) * blockSize;
    const [lastStart, lastLength] = pairs.slice(-2);
    if (lastStart !== undefined && lastLength !== undefined && lastStart >= 0 && start === lastStart + lastLength) {
      pairs[pairs.length - 1] = lastLength + length;
    } else pairs.push(start, length);
  }
  finish();
  return result;
}

export function extentBytes(extents: Extents): number {
  let sum = 0;
  for (let i = 1; i < extents.length; i += 2) sum += extents[i]!;
  return sum;
}
