/** Removes old backups, and the WAL that only they needed. */
import { PgorbitError } from '../errors.ts';
import type { BackupInfo } from './info.ts';
import { type Needed, choosePruned, chooseUnneeded, dependentsOf } from './prune.ts';
import type { SystemFolder } from './repository.ts';

export interface Removed {
  backups: string[];
  segments: string[];
  /** What stays beyond the number that is kept, because kept ones build on it. */
  needed: Needed[];
}

/** Keeps the newest `keep` backups, at least one, and all that they build on. Throws `locked`, `usage`, `backup-damaged`. */
export async function pruneBackups(system: SystemFolder, keep: number): Promise<Removed> {
  if (!Number.isInteger(keep) || keep < 1) throw new PgorbitError('usage', 'at least one backup has to be kept', { hint: 'to remove all of them, name each: `pgorbit backup rm BACKUP`' });
  return remove(system, async (labels) => {
    const infos: BackupInfo[] = [];
    for (const label of labels) infos.push(await system.info(label));
    const { gone, needed } = choosePruned(infos, keep);
    return { gone: gone.map(({ label }) => label), needed };
  });
}

/** Removes one backup. Throws `no-such-backup`, `unsafe` where others build on it, `locked`. */
export async function removeBackup(system: SystemFolder, label: string): Promise<Removed> {
  return remove(system, async (labels) => {
    if (!labels.includes(label)) throw new PgorbitError('no-such-backup', `there is no backup ${label} in ${system.path()}`, { hint: '`pgorbit backup ls` shows what there is' });
    // One that cannot be read can be restored neither with what it builds on nor without.
    const infos = (await Promise.all(labels.map((one) => readable(system, one)))).filter((info) => info !== null);
    const dependents = dependentsOf(infos, label);
    if (dependents.length > 0) throw new PgorbitError('unsafe', `${label} is needed: ${dependents.join(', ')} ${dependents.length === 1 ? 'builds' : 'build'} on it`, { hint: `remove ${dependents.toReversed().join(', then ')} first` });
    return { gone: [label], needed: [] };
  });
}

async function remove(system: SystemFolder, choose: (labels: string[]) => Promise<{ gone: string[]; needed: Needed[] }>): Promise<Removed> {
  const held = await system.lock('`pgorbit backup rm`');
  try {
    const { gone, needed } = await choose(await system.labels());
    // The newest first: an end between leaves none without what it builds on.
    for (const label of gone.toReversed()) {
      held.lost.throwIfAborted();
      await system.remove(label);
    }
    const segments = await unneeded(system);
    for (const name of segments) {
      held.lost.throwIfAborted();
      await system.store.delete(system.key('wal', name));
      await system.store.delete(system.key('sums', name));
    }
    return { backups: gone, segments, needed };
  } finally {
    await held.release();
  }
}

/** Nothing while a backup is there that can't say what it needs. */
async function unneeded(system: SystemFolder): Promise<string[]> {
  const kept: BackupInfo[] = [];
  for (const label of await system.labels()) {
    const info = await readable(system, label);
    if (info === null) return [];
    kept.push(info);
  }
  return chooseUnneeded(await system.archived(), kept);
}

async function readable(system: SystemFolder, label: string): Promise<BackupInfo | null> {
  try {
    return await system.info(label);
  } catch (error) {
    if (error instanceof PgorbitError && error.code === 'backup-damaged') return null;
    throw error;
  }
}
