/** The BASE_BACKUP command and its answer (documentation, "Streaming Replication Protocol"). */
import { PgorbitError } from '../../errors.ts';
import { parseLsn, formatLsn } from '../../wal/lsn.ts';
import { malformed } from '../../wire/buffer.ts';
import type { ChecksumAlgorithm } from './checksum.ts';

/** MAX_RATE_LOWER and MAX_RATE_UPPER (backup/basebackup.h), in kB a second. */
const RATE = { least: 32, most: 1_048_576 };

export interface CommandOptions {
  checkpoint: 'fast' | 'spread';
  rate: number | null;
  wal: boolean;
  label: string;
  checksums: ChecksumAlgorithm;
  /** Only what changed since the backup whose manifest was uploaded (PostgreSQL 17 and later). */
  incremental: boolean;
}

/**
 * TARGET 'client' asks for the one COPY stream with typed messages. WAIT is off: nobody waits until an archive has the
 * WAL, because the copy has it itself or its caller holds it with a slot.
 */
export function baseBackupCommand(options: CommandOptions): string {
  const list = [
    `LABEL '${options.label.replaceAll("'", "''")}'`,
    "TARGET 'client'",
    'PROGRESS',
    `CHECKPOINT '${options.checkpoint}'`,
    `WAL ${options.wal}`,
    'WAIT false',
    "MANIFEST 'yes'",
    `MANIFEST_CHECKSUMS '${options.checksums}'`,
  ];
  if (options.incremental) list.push('INCREMENTAL');
  if (options.rate !== null) {
    const kilobytes = Math.max(RATE.least, Math.round(options.rate / 1024));
    if (kilobytes <= RATE.most) list.push(`MAX_RATE ${kilobytes}`);
  }
  return `BASE_BACKUP ( ${list.join(', ')} )`;
}

export interface Begin {
  timeline: number;
  lsn: string;
  /** Bytes that the server expects to send, without WAL. */
  total: number;
  /** Where the tablespaces lie. */
  tablespaces: string[];
}

/** The rows before the stream: one with the start, then one a tablespace, the data directory's own last. */
export function parseBegin(rows: readonly (string | null)[][]): Begin {
  const [first, ...spaces] = rows;
  const { lsn, timeline } = parsePosition(first);
  return {
    lsn,
    timeline,
    total: spaces.reduce((sum, row) => sum + Number(row[2] ?? 0) * 1024, 0),
    tablespaces: spaces.flatMap((row) => (row[0] === null || row[0] === undefined ? [] : [`${row[0]} (${row[1] ?? 'nowhere'})`])),
  };
}

/** A row of position and timeline: the start or the end of a backup. */
export function parsePosition(row: readonly (string | null)[] | undefined): { lsn: string; timeline: number } {
  const timeline = Number(row?.[1]);
  if (!row?.[0] || !Number.isInteger(timeline) || timeline < 1) throw malformed('a base backup without its position');
  return { lsn: formatLsn(parseLsn(row[0])), timeline };
}

/** Tablespaces lie outside the data directory, where pgorbit gives a member nothing of its own. */
export function refuseTablespaces(where: string, tablespaces: readonly string[]): void {
  if (tablespaces.length === 0) return;
  throw new PgorbitError('setting-refused', `${where} cannot be copied: it has tablespaces outside its data directory: ${tablespaces.join(', ')}`, {
    hint: 'move their tables to pg_default and drop the tablespaces',
  });
}
