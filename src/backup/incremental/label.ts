/** backup_label: where a backup begins, and on what an incremental one builds (backend/access/transam/xlogbackup.c). Pure. */
import { PgorbitError } from '../../errors.ts';
import { type WalPoint } from '../../wal/history.ts';
import { parseLsn } from '../../wal/lsn.ts';

export const LABEL_FILE = 'backup_label';

export interface BackupLabel {
  start: WalPoint;
  /** Where the backup begins that this one builds on; null for a full one. */
  from: WalPoint | null;
}

/** Throws PgorbitError `backup-damaged` that names `where`. */
export function parseLabel(text: string, where: string): BackupLabel {
  const find = (pattern: RegExp): string | null => pattern.exec(text)?.[1] ?? null;
  const point = (lsn: string | null, timeline: string | null, what: string): WalPoint | null => {
    if (lsn === null && timeline === null) return null;
    if (lsn === null || timeline === null) throw new PgorbitError('backup-damaged', `${where} is damaged: it does not say ${what} in full`, { hint: 'use another backup: `pgorbit backup ls`' });
    return { timeline: Number(timeline), lsn: parseLsn(lsn) };
  };
  const start = point(find(/^START WAL LOCATION: ([0-9A-F]+\/[0-9A-F]+) /m), find(/^START TIMELINE: (\d+)$/m), 'where the backup begins');
  if (start === null) throw new PgorbitError('backup-damaged', `${where} is damaged: it does not say where the backup begins`, { hint: 'use another backup: `pgorbit backup ls`' });
  return { start, from: point(find(/^INCREMENTAL FROM LSN: ([0-9A-F]+\/[0-9A-F]+)$/m), find(/^INCREMENTAL FROM TLI: (\d+)$/m), 'what it builds on') };
}

/** The label of the whole that an incremental backup and those before it make: a server refuses to start with the other. */
export function wholeLabel(text: string): string {
  return text.replaceAll(/^INCREMENTAL FROM (LSN|TLI): .*\n/gm, '');
}
