/** To where a restore goes: what a person wrote, and whether a backup and its WAL reach there. Pure. */
import { PgorbitError } from '../../errors.ts';
import { formatLsn, parseLsn } from '../../wal/lsn.ts';
import type { Chain } from '../chain.ts';
import type { BackupInfo } from '../info.ts';

export type Target =
  /** The end of the archived WAL. */
  | { kind: 'latest' }
  /** Transactions that committed at or before it are there. `text` is for PostgreSQL, in UTC, with microseconds. */
  | { kind: 'time'; text: string; ms: number }
  /** WAL before this position is replayed, what begins there is not: what pg_current_wal_lsn() gave after a commit has that commit. */
  | { kind: 'lsn'; lsn: string }
  /** Of pg_create_restore_point(). */
  | { kind: 'name'; name: string };

const LSN = /^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/;
const TIME = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,6}))?\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?$/i;
/** MAXFNAMELEN of xlog_internal.h. */
const LONGEST_NAME = 63;

/** A time without a zone is one of this machine. Throws `usage`. */
export function parseTarget(text: string): Target {
  if (text === 'latest') return { kind: 'latest' };
  if (LSN.test(text)) return { kind: 'lsn', lsn: formatLsn(parseLsn(text)) };
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) return parseTime(text);
  if (text === '' || Buffer.byteLength(text) > LONGEST_NAME) throw new PgorbitError('usage', `${JSON.stringify(text)} is no name of a restore point`, { hint: 'a target is a time (2026-11-21 11:30:00+01), a position (0/16B3748), the name of a restore point, or latest' });
  return { kind: 'name', name: text };
}

function parseTime(text: string): Target {
  const match = TIME.exec(text);
  const zone = match?.[4] === undefined ? '' : match[4].toUpperCase() === 'UTC' ? 'Z' : match[4].toUpperCase().replace(/^([+-]\d{2}):?(\d{2})?$/, (_, hours: string, minutes?: string) => `${hours}:${minutes ?? '00'}`);
  const at = match === null ? null : new Date(`${match[1]}T${match[2]}${zone}`);
  if (match === null || at === null || Number.isNaN(at.getTime())) throw new PgorbitError('usage', `${JSON.stringify(text)} is no time`, { hint: 'write it as 2026-11-21 11:30:00, or with a zone: 2026-11-21 11:30:00.25+01:00' });
  const fraction = (match[3] ?? '').padEnd(6, '0');
  return { kind: 'time', text: `${at.toISOString().slice(0, 19).replace('T', ' ')}.${fraction}+00`, ms: at.getTime() + Number(fraction) / 1000 };
}

/** The newest backup that ended before the target; `infos` oldest first. Throws `target-unreachable`, `no-such-backup`. */
export function chooseBackup(infos: readonly BackupInfo[], target: Target): BackupInfo {
  const found = infos.findLast((info) => before(info, target) === null);
  if (found !== undefined) return found;
  const [first] = infos;
  if (first === undefined) throw new PgorbitError('no-such-backup', 'there is no backup to restore', { hint: '`pgorbit backup --to REPOSITORY` takes the first' });
  throw tooEarly(first, target);
}

/** Throws `target-unreachable` that says why, or `backup-damaged` that names the missing file. */
export function refuseTarget(info: BackupInfo, chain: Chain, target: Target): void {
  if (before(info, target) !== null) throw tooEarly(info, target);
  const [missing] = chain.missing;
  if (target.kind === 'latest' && missing !== undefined) {
    throw new PgorbitError('backup-damaged', `WAL segment ${missing} is missing: what was archived after it can't be restored`, { hint: `copy it into the repository's wal folder, or restore to a moment before it: --to ${formatLsn(chain.end)}` });
  }
  if (target.kind === 'lsn' && parseLsn(target.lsn) > chain.end) {
    throw new PgorbitError('target-unreachable', `${target.lsn} lies beyond the archived WAL, which ends ${missing === undefined ? 'before' : `with a missing segment, ${missing}, at`} ${formatLsn(chain.end)}`, { hint: 'name an earlier target, or latest' });
  }
}

/** Why a backup cannot be taken back to the target, or null. */
function before(info: BackupInfo, target: Target): string | null {
  if (target.kind === 'time' && target.ms < Date.parse(info.stoppedAt)) return info.stoppedAt;
  if (target.kind === 'lsn' && parseLsn(target.lsn) < parseLsn(info.stopLsn)) return info.stopLsn;
  return null;
}

function tooEarly(info: BackupInfo, target: Target): PgorbitError {
  return new PgorbitError('target-unreachable', `${describeTarget(target)} is before the end of backup ${info.label}, ${before(info, target)}`, { hint: 'an older backup reaches it: `pgorbit backup ls`' });
}

/** The settings that stop recovery there (documentation, "Recovery Target"). */
export function targetSettings(target: Target): Record<string, string> {
  if (target.kind === 'time') return { recovery_target_time: target.text };
  if (target.kind === 'lsn') return { recovery_target_lsn: target.lsn, recovery_target_inclusive: 'off' };
  if (target.kind === 'name') return { recovery_target_name: target.name };
  return {};
}

export function describeTarget(target: Target): string {
  if (target.kind === 'time') return `the time ${target.text}`;
  if (target.kind === 'lsn') return `the position ${target.lsn}`;
  if (target.kind === 'name') return `the restore point ${JSON.stringify(target.name)}`;
  return 'the end of the archived WAL';
}
