/** Which backups and which archived WAL may go. Pure. */
import { parseHistoryFileName } from '../wal/history.ts';
import { parseLsn, parseSegmentName, segmentStart } from '../wal/lsn.ts';
import type { BackupInfo } from './info.ts';

/** The oldest beyond the newest `keep`; `infos` oldest first. */
export function choosePruned(infos: readonly BackupInfo[], keep: number): BackupInfo[] {
  return infos.slice(0, Math.max(0, infos.length - keep));
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
