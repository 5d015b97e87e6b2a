/** What a file-by-file clone of a member's folder takes, and in which order. */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { isExcluded, isOwnEntry } from './exclusion.ts';

export interface PlannedEntry {
  /** Relative to the member's folder. */
  path: string;
  kind: 'folder' | 'file' | 'link';
  size: number;
  mode: number;
  uid: number;
  gid: number;
}

/** Cloned after everything else, so that it knows of nothing that the copy lacks (as pg_basebackup does). */
export const CONTROL_FILE = 'data/global/pg_control';

/** Every entry to clone: folders before their contents, pg_control last. What vanishes meanwhile is left out. */
export async function planClone(source: string): Promise<PlannedEntry[]> {
  const plan: PlannedEntry[] = [];
  const folders = [''];
  let control: PlannedEntry | null = null;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const own = await entryAt(source, folder);
    const entries = await readdir(join(source, folder), { withFileTypes: true }).catch(goneIs(null));
    if (own === null || entries === null) continue;
    plan.push(own);
    const names = new Set(entries.map(({ name }) => name));
    for (const { name } of entries) {
      const path = folder === '' ? name : `${folder}/${name}`;
      if (isLeftOut(path, names)) continue;
      const entry = await entryAt(source, path);
      if (entry === null) continue;
      if (entry.kind === 'folder') folders.push(path);
      else if (path === CONTROL_FILE) control = entry;
      else plan.push(entry);
    }
  }
  return control ? [...plan, control] : plan;
}

function isLeftOut(path: string, siblings: ReadonlySet<string>): boolean {
  if (path.startsWith('data/')) return isExcluded(path.slice('data/'.length), siblings);
  return !path.includes('/') && isOwnEntry(path);
}

/** Null for what vanished, and for sockets and the like, which have no content. */
async function entryAt(source: string, path: string): Promise<PlannedEntry | null> {
  const info = await lstat(join(source, path)).catch(goneIs(null));
  if (info === null) return null;
  const kind = info.isDirectory() ? 'folder' : info.isFile() ? 'file' : info.isSymbolicLink() ? 'link' : null;
  if (kind === null) return null;
  return { path, kind, size: info.size, mode: info.mode & 0o7777, uid: info.uid, gid: info.gid };
}

function goneIs<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (errnoOf(error) === 'ENOENT') return value;
    throw error;
  };
}
