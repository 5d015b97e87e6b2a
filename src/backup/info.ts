/** backup.json: what a backup is, and how to know that it is whole. It is written last. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { PgorbitError } from '../errors.ts';

export const INFO_FILE = 'backup.json';

const lsn = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);

const FORMAT = z.object({
  format: z.literal(1),
  /** Its folder's name. */
  label: z.string(),
  kind: z.enum(['full', 'incremental']),
  /** The backup on which an incremental one builds: its label, and which manifest it had. */
  parent: z.object({ label: z.string(), manifestSha256: z.string() }).optional(),
  cluster: z.string(),
  group: z.string(),
  systemIdentifier: z.string(),
  /** The member that was copied. */
  source: z.string(),
  /** As the server writes it: `15.14`, `18.4`. */
  version: z.string(),
  major: z.int(),
  segmentSize: z.int(),
  /** The timeline on which the copy ends. */
  timeline: z.int(),
  startLsn: lsn,
  /** From here on a restored copy is consistent. */
  stopLsn: lsn,
  /** By the server's clock, ISO 8601. */
  startedAt: z.string(),
  stoppedAt: z.string(),
  /** Of all files, WAL included. */
  bytes: z.int(),
  manifestSha256: z.string(),
  /** The files in the copy's pg_wal, which the manifest leaves out. */
  wal: z.array(z.object({ name: z.string(), size: z.int(), crc32c: z.string() })),
  /** The group's PostgreSQL settings in the manifest of then: a restored cluster gets them again. */
  settings: z.record(z.string(), z.string()),
  /** Below `data`, one char a byte; only where the store itself knows no empty folders. */
  folders: z.array(z.string()).optional(),
});

export type BackupInfo = z.infer<typeof FORMAT>;

/** `20261121T113005Z-full`: labels sort by time. */
export function labelOf(at: Date, kind: BackupInfo['kind']): string {
  return `${at.toISOString().replaceAll(/[-:]|\.\d+/g, '')}-${kind}`;
}

export const isLabel = (name: string): boolean => /^\d{8}T\d{6}Z-(full|incremental)(-\d+)?$/.test(name);

export function encodeInfo(info: BackupInfo): Buffer {
  return Buffer.from(`${JSON.stringify({ backup: info, sha256: sumOf(info) }, null, 2)}\n`);
}

/** Throws PgorbitError `backup-damaged` that names `where`. */
export function decodeInfo(text: Buffer, where: string): BackupInfo {
  let value: { backup?: unknown; sha256?: unknown };
  try {
    value = JSON.parse(text.toString('utf8')) as typeof value;
  } catch (cause) {
    throw damaged(where, 'it is no JSON document', cause);
  }
  const parsed = FORMAT.safeParse(value?.backup);
  if (!parsed.success) throw damaged(where, `${parsed.error.issues[0]!.path.join('.')}: ${parsed.error.issues[0]!.message}`, parsed.error);
  if (value.sha256 !== sumOf(parsed.data)) throw damaged(where, 'its checksum does not fit');
  return parsed.data;
}

/** Of the document without spaces: keys come in the order of FORMAT, whoever wrote them. */
function sumOf(info: BackupInfo): string {
  return createHash('sha256').update(JSON.stringify(FORMAT.parse(info))).digest('hex');
}

function damaged(where: string, what: string, cause?: unknown): PgorbitError {
  return new PgorbitError('backup-damaged', `${where} is damaged: ${what}`, { hint: 'use another backup: `pgorbit backup ls`', cause });
}
