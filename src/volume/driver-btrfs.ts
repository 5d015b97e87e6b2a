/** Driver `btrfs`: a member's folder is a subvolume, a clone is a snapshot: one instant, at any size. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, PgorbitError } from '../errors.ts';
import { complaint, run } from './command.ts';
import type { Driver } from './driver.ts';
import { syncFolder } from '../durable.ts';
import { isOwnEntry, SNAPSHOT_DROPS } from './exclusion.ts';
import { refuseOutsideLinks } from './outside.ts';

export const btrfsDriver: Driver = {
  name: 'btrfs',
  atomicClone: true,

  async makeFolder(path) {
    const made = await run('btrfs', ['subvolume', 'create', path]);
    if (made.code !== 0) throw failed(`could not make the subvolume ${path}`, complaint(made));
  },

  async cloneFolder(source, target, { signal, onProgress }) {
    signal?.throwIfAborted();
    await refuseOutsideLinks(source);
    const snapped = await run('btrfs', ['subvolume', 'snapshot', source, target]);
    if (snapped.code !== 0) throw failed(`could not snapshot ${source}`, complaint(snapped));
    await dropSourcesOwn(target);
    signal?.throwIfAborted();
    onProgress?.(1, 1);
    return { files: null, bytes: null, copiedBytes: 0, notes: [] };
  },

  deleteFolder: deleteSubvolume,
};

/**
 * Deletes a subvolume, or a plain folder. An ordinary user may not delete subvolumes (unless the mount has
 * user_subvol_rm_allowed), but may empty one and remove it like a folder since Linux 4.18.
 */
export async function deleteSubvolume(path: string): Promise<void> {
  const deleted = await run('btrfs', ['subvolume', 'delete', path]);
  if (deleted.code !== 0) await rm(path, { recursive: true, force: true });
}

/**
 * Removes from a snapshot what belongs to the source alone. Each folder is flushed: the log trees of two subvolumes
 * are replayed apart, and a crash must not bring the slots back under the copy's final name.
 */
async function dropSourcesOwn(target: string): Promise<void> {
  for (const name of await readdir(target)) {
    if (isOwnEntry(name)) await rm(join(target, name), { recursive: true, force: true });
  }
  await syncFolder(target);
  const data = join(target, 'data');
  const files = SNAPSHOT_DROPS.files.map((name) => join(data, name));
  const inside: string[] = [];
  for (const name of SNAPSHOT_DROPS.contents) {
    const folder = join(data, name);
    const names = await namesIn(folder);
    if (names === null) continue;
    for (const entry of names) await rm(join(folder, entry), { recursive: true, force: true });
    inside.push(folder);
  }
  for (const file of files) await rm(file, { force: true });
  if ((await namesIn(data)) !== null) inside.push(data);
  for (const folder of inside) await syncFolder(folder);
}

async function namesIn(folder: string): Promise<string[] | null> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
}

function failed(what: string, why: string): PgorbitError {
  if (/no space|quota/i.test(why)) {
    return new PgorbitError('volume-full', `${what}: ${why}`, { hint: '`pgorbit volume grow`, `pgorbit volume reclaim`, or remove a member' });
  }
  return new PgorbitError('volume-failed', `${what}: ${why}`, { hint: '`pgorbit volume check` tells whether the file system is sound' });
}
