/** What makes a copied data directory one to recover: its backup label and its control file. */
import { PgorbitError } from '../../errors.ts';
import { crc32c } from '../../wal/crc32c.ts';
import { type Lsn, formatLsn, segmentName } from '../../wal/lsn.ts';
import { CONTROL_STATES, CRC_OFFSET } from '../control.ts';
import type { StartPoint } from './walk.ts';

/** The text of backup_label that pg_rewind writes (createBackupLabel): replay begins at the redo point. */
export function backupLabel(start: StartPoint, segmentSize: number, now: Date): string {
  return [
    `START WAL LOCATION: ${formatLsn(start.redo)} (file ${segmentName(start.timeline, start.redo, segmentSize)})`,
    `CHECKPOINT LOCATION: ${formatLsn(start.checkpoint)}`,
    'BACKUP METHOD: pg_rewind',
    'BACKUP FROM: standby',
    `START TIME: ${now.toISOString().slice(0, 19).replace('T', ' ')} UTC`,
    '',
  ].join('\n');
}

/**
 * The source's control file as the target's (perform_rewind, update_controlfile): a standby's, consistent from `end`
 * on. Throws `internal` for a format that parseControlFile() would have refused.
 */
export function rewoundControl(source: Buffer, end: { timeline: number; lsn: Lsn }, now: Date): Buffer {
  const bytes = Buffer.from(source);
  const crcAt = CRC_OFFSET[bytes.readUInt32LE(8)];
  if (crcAt === undefined) throw new PgorbitError('internal', 'The control file has an unknown format.');
  bytes.writeUInt32LE(CONTROL_STATES.indexOf('in archive recovery'), 16);
  bytes.writeBigInt64LE(BigInt(Math.floor(now.getTime() / 1000)), 24);
  bytes.writeBigUInt64LE(end.lsn, 136);
  bytes.writeUInt32LE(end.timeline, 144);
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, crcAt)), crcAt);
  return bytes;
}
