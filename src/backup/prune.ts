/** Which backups and which archived WAL may go. Pure. */
import { parseHistoryFileName } from '../wal/history.ts';
import { parseLsn, parseSegmentName, segmentStart } from '../wal/lsn.ts';
import type { BackupInfo } from './info.ts';

/** A backup that would go, and does not: the backups that build on it, directly or not. */
export interface Needed {
  backup: string;
  by: string[];
}

/** The oldest beyond the newest `keep`, but for those on which a kept one builds; `infos` oldest first. */
export function choosePruned(infos: readonly BackupInfo[], keep: number): { gone: BackupInfo[]; needed: Needed[] } {
  const older = infos.slice(0, Math.max(0, infos.length - keep));
  const kept = infos.slice(older.length);
  const needed = older.map(({ label }) => ({ backup: label, by: kept.filter((one) => ancestorsOf(infos, one).includes(label)).map((one) => one.label) })).filter(({ by }) => by.length > 0);
  return { gone: older.filter(({ label }) => !needed.some((one) => one.backup === label)), needed };
}

/** Those that build on the backup `label`, directly or not. */
export function dependentsOf(infos: readonly BackupInfo[], label: string): string[] {
  return infos.filter((one) => ancestorsOf(infos, one).includes(label)).map((one) => one.label);
}

/** The labels of what a backup builds on, as far as it is there. */
function ancestorsOf(infos: readonly BackupInfo[], info: BackupInfo): string[] {
  const byLabel = new Map(infos.map((one) => [one.label, one]));
  const found: string[] = [];
  for (let parent = info.parent?.label; parent !== undefined && !found.includes(parent); parent = byLabel.get(parent)?.parent?.label) found.push(parent);
  return found;
}

/**
 * Archived segments that no kept backup needs: those that end before the oldest kept one begins. History files are small
 * and tell where timelines part: they stay, as all WAL does where no backup is kept.
 */
export function chooseUnneeded(names: readonly string[], kept: readonly BackupInfo[]): string[] {
  const [first] = kept;
  if (first === undefined) return [];
  const size = first.segmentSize;
  const oldest = kept.map((info) => segmentStart(parseLsn(info.startLsn), size)).reduce((a, b) => (a < b ? a : b));
  return names.filter((name) => {
    if (parseHistoryFileName(name) !== null) return false;
    const id = parseSegmentName(name.replace(/\.partial$/, ''), size);
    return id !== null && id.start < oldest;
  });
}
