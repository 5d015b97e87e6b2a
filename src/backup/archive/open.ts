/** The archive of one database system, in whatever store its repository is. */
import { mkdir } from 'node:fs/promises';
import type { SystemFolder } from '../repository.ts';
import { StoredArchive } from './stored.ts';
import { type ArchiveWriter, FolderArchive } from './writer.ts';

export interface OpenArchive {
  writer: ArchiveWriter;
  /** Resolves when nothing is written any more. */
  close(): Promise<void>;
}

/** @param lost aborts when another may be writing. @param partialMs how often a part of a segment is put to a store that is no folder */
export async function openArchive(system: SystemFolder, segmentSize: number, lost: AbortSignal, partialMs?: number): Promise<OpenArchive> {
  const { store } = system;
  const [wal, sums] = [store.local(system.key('wal')), store.local(system.key('sums'))];
  if (wal === null || sums === null) {
    const writer = new StoredArchive({ system, segmentSize, names: await system.archived(), lost, partialMs });
    return { writer, close: () => writer.stop() };
  }
  for (const folder of [wal, sums]) await mkdir(folder, { recursive: true, mode: 0o711 });
  const writer = new FolderArchive(wal, sums, segmentSize);
  return { writer, close: async () => writer.close() };
}
