/**
 * Makes one data directory of a full backup and the incremental ones that build on it, which a server starts as that of a
 * full backup taken when the last of them was. What pg_combinebackup does, which not every PostgreSQL comes with.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../../durable.ts';
import { type ChecksumAlgorithm, makeChecksum } from '../../engine/basebackup/checksum.ts';
import { MANIFEST_FILE, type ManifestFile, type WrittenFile, formatManifest } from '../../engine/basebackup/manifest.ts';
import { PgorbitError } from '../../errors.ts';
import { type Destination, cloneFile, copyData } from '../restore/copy.ts';
import { standsFor } from './header.ts';
import { LABEL_FILE, wholeLabel } from './label.ts';
import { type Descent, type Generation, checkLineage } from './lineage.ts';
import { mendMap } from './mend.ts';
import { partsOf } from './parts.ts';
import { rebuildFile } from './rebuild.ts';
import { tableOf } from './visibility.ts';

export interface CombineOptions extends Destination {
  /** The full backup first. Their files are taken for what their manifests say: who calls has verified them. */
  lineage: readonly Generation[];
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

async function writeLabel(to: string, { labelText }: Descent): Promise<WrittenFile> {
  const bytes = Buffer.from(wholeLabel(labelText), 'latin1');
  await writeDurably(join(to, LABEL_FILE), bytes, { asFolderOwner: true });
  const checksum = makeChecksum(CHECKSUMS);
  checksum.update(bytes);
  return { path: LABEL_FILE, size: bytes.length, modifiedMs: Date.now(), checksum: { algorithm: CHECKSUMS, hex: checksum.hex() } };
}
