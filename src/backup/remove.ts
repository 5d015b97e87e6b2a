/** Removes old backups, and the WAL that only they needed. */
import { PgorbitError } from '../errors.ts';
import type { BackupInfo } from './info.ts';
import { choosePruned, chooseUnneeded } from './prune.ts';
import type { SystemFolder } from './repository.ts';

export interface Removed {
  backups: string[];
  segments: string[];
}

/** Keeps the newest `keep` backups, at least one. Throws `locked`, `usage`, `backup-damaged`. */
export async function pruneBackups(system: SystemFolder, keep: number): Promise<Removed> {
  if (!Number.isInteger(keep) || keep < 1) throw new PgorbitError('usage', 'at least one backup has to be kept', { hint: 'to remove all of them, name each: `pgorbit backup rm BACKUP`' });
  return remove(system, async (labels) => {
    const infos: BackupInfo[] = [];
    for (const label of labels) infos.push(await system.info(label));
    return choosePruned(infos, keep).map(({ label }) => label);
  });
}

/** Removes one backup. Throws `no-such-backup`, `locked`. */
export async function removeBackup(system: SystemFolder, label: string): Promise<Removed> {
  return remove(system, async (labels) => {
    if (!labels.includes(label)) throw new PgorbitError('no-such-backup', `there is no backup ${label} in ${system.path()}`, { hint: '`pgorbit backup ls` shows what there is' });
    return [label];
  });
}

async function remove(system: SystemFolder, choose: (labels: string[]) => Promise<string[]>): Promise<Removed> {
  const held = await system.lock('`pgorbit backup rm`');
  try {
    const gone = await choose(await system.labels());
    for (const label of gone) {
      held.lost.throwIfAborted();
      await system.remove(label);
    }
    const segments = await unneeded(system);
    for (const name of segments) {
      held.lost.throwIfAborted();
      await system.store.delete(system.key('wal', name));
      await system.store.delete(system.key('sums', name));
    }
    return { backups: gone, segments };
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
  const names = (await system.store.list(system.key('wal'))).map(({ key }) => key.slice(key.lastIndexOf('/') + 1));
  return chooseUnneeded(names, kept);
}

async function readable(system: SystemFolder, label: string): Promise<BackupInfo | null> {
  try {
    return await system.info(label);
  } catch (error) {
    if (error instanceof PgorbitError && error.code === 'backup-damaged') return null;
    throw error;
  }
}
