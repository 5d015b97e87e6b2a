/** How far a copy is, in words. Pure. */
import type { BaseBackupProgress } from '../../engine/basebackup/basebackup.ts';
import { formatBytes, formatMs } from '../print/units.ts';

/** @param ms since the first byte. */
export function describeCopy({ done, total, step }: BaseBackupProgress, ms: number): string {
  if (step === 'checkpoint') return 'waiting for a checkpoint';
  if (step === 'sync') return 'writing it through to the disk';
  const rate = ms > 0 ? (done / ms) * 1000 : 0;
  const left = rate > 0 ? `, ${formatMs(((total - done) / rate) * 1000)} left` : '';
  return `${Math.floor((100 * done) / Math.max(1, total))} % of ${formatBytes(total)}, ${formatBytes(Math.round(rate))}/s${left}`;
}
