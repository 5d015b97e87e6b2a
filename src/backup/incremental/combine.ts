/**
 * Makes one data directory of a full backup and the incremental ones that build on it, which a server starts as that of a
 * full backup taken when the last of them was. What pg_combinebackup does, which not every PostgreSQL comes with.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../../durable.ts';
import { type ChecksumAlgorithm, makeChecksum } from '../../engine/basebackup/checksum.ts';
import { MANIFEST_FILE, type ManifestFile, type WrittenFile, formatManifest } from '../../engine/basebackup/manifest.ts';
import type { OsUser } from '../../engine/osuser.ts';
import { PgorbitError } from '../../errors.ts';
import { cloneFile, copyData, inside } from '../restore/copy.ts';
import { BLOCK_BYTES, SEGMENT_BLOCKS, incrementalOf, standsFor } from './header.ts';
import { LABEL_FILE, wholeLabel } from './label.ts';
import { type Descent, type Generation, checkLineage } from './lineage.ts';
import { isNewPage, setPageChecksum } from './page.ts';
import type { FilePlan } from './plan.ts';
import { type Mend, type Part, planOf, rebuildFile } from './rebuild.ts';
import { TABLE_BLOCKS, clearStale, tableOf } from './visibility.ts';

export interface CombineOptions {
  /** The full backup first. Their files are taken for what their manifests say: who calls has verified them. */
  lineage: readonly Generation[];
  /** Made here; its parent exists. */
  to: string;
  owner: OsUser | null;
  /** Bytes. */
  onProgress: (done: number) => void;
  signal: AbortSignal;
}

/** The server takes it for its own manifests too (basebackup.ts). */
const CHECKSUMS: ChecksumAlgorithm = 'CRC32C';

/**
 * Durable when it resolves, with a backup_manifest of its own, written last. Throws PgorbitError `backup-damaged` that names
 * the file which does not fit, `volume-full`, and what the signal was aborted with.
 */
export async function combineBackups(options: CombineOptions): Promise<void> {
  const { to, owner, signal } = options;
  const all = await checkLineage(options.lineage);
  const newest = all.at(-1)!;
  const sums = new Map<string, ManifestFile['checksum']>();
  const files: WrittenFile[] = [];
  await copyData({
    from: newest.dir, to, owner, signal, onProgress: options.onProgress,
    instead: (path) => {
      const whole = standsFor(path);
      return whole === null ? null : { path: whole, make: async (file) => void sums.set(whole, await rebuild(all, whole, file, signal)) };
    },
    onFile: (path, { size, mtimeMs }) => {
      if (path === MANIFEST_FILE || path === LABEL_FILE || path.startsWith('pg_wal/')) return;
      files.push({ path, size, modifiedMs: mtimeMs, checksum: sums.get(path) ?? newest.manifest.files.get(path)?.checksum ?? null });
    },
  });
  // Those two are the incremental backup's.
  await rm(join(to, MANIFEST_FILE));
  files.push(await writeLabel(to, newest));
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  const manifest = formatManifest({ systemIdentifier: newest.info.systemIdentifier, files, walRanges: newest.manifest.walRanges });
  await writeDurably(join(to, MANIFEST_FILE), manifest, { asFolderOwner: true });
}

async function rebuild(all: readonly Descent[], path: string, to: Buffer, signal: AbortSignal): Promise<ManifestFile['checksum']> {
  const parts = partsOf(all, path);
  if (parts.at(-1)?.whole !== true) throw new PgorbitError('backup-damaged', `${all[0]!.dir}/${path} is missing: what later backups have of it is a part`, { hint: 'use another backup: `pgorbit backup ls`' });
  const table = tableOf(path);
  const built = await rebuildFile(parts, to, CHECKSUMS, signal, table === null ? null : mendMap(all, table));
  if (!('copyOf' in built)) return { algorithm: CHECKSUMS, hex: built.hex };
  const { file } = parts[built.copyOf]!;
  await cloneFile(file, to);
  return all.at(-1 - built.copyOf)!.manifest.files.get(path)!.checksum;
}

/** What the backups have of a file, from the newest back to the one that has all of it. None where no backup has it. */
function partsOf(all: readonly Descent[], path: string): Part[] {
  const parts: Part[] = [];
  for (const { dir, manifest } of all.toReversed()) {
    const whole = manifest.files.has(path);
    const name = whole ? path : incrementalOf(path);
    if (!whole && !manifest.files.has(name)) return parts;
    parts.push({ file: inside(dir, name), shown: `${dir}/${name}`, whole });
    if (whole) return parts;
  }
  return parts;
}

/** Takes out of a visibility map what was not kept in step with its table (visibility.ts). */
function mendMap(all: readonly Descent[], table: string): Mend {
  const { checksums } = all.at(-1)!;
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

async function writeLabel(to: string, { labelText }: Descent): Promise<WrittenFile> {
  const bytes = Buffer.from(wholeLabel(labelText), 'latin1');
  await writeDurably(join(to, LABEL_FILE), bytes, { asFolderOwner: true });
  const checksum = makeChecksum(CHECKSUMS);
  checksum.update(bytes);
  return { path: LABEL_FILE, size: bytes.length, modifiedMs: Date.now(), checksum: { algorithm: CHECKSUMS, hex: checksum.hex() } };
}
