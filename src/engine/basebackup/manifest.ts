/** Reads and writes backup_manifest (documentation, "Backup Manifest Format"; src/common/parse_manifest.c). */
import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { PgorbitError } from '../../errors.ts';
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm } from './checksum.ts';

export const MANIFEST_FILE = 'backup_manifest';

export interface ManifestFile {
  /** Relative to the backup, with `/`; each char is one byte (Latin-1), because a name need not be UTF-8. */
  path: string;
  size: number;
  /** Null where the manifest was made without. */
  checksum: { algorithm: ChecksumAlgorithm; hex: string } | null;
}

export interface Manifest {
  /** Decimal; null before PostgreSQL 17, which does not write it. */
  systemIdentifier: string | null;
  files: ReadonlyMap<string, ManifestFile>;
  /** What must be replayed before the backup is consistent. */
  walRanges: readonly { timeline: number; startLsn: string; endLsn: string }[];
}

const HEAD_BYTES = 200;
const SYSTEM = /^\s*\{\s*"PostgreSQL-Backup-Manifest-Version"\s*:\s*2\s*,\s*"System-Identifier"\s*:\s*(\d+)/;

const hex = z.string().regex(/^([0-9a-fA-F]{2})+$/);
const lsn = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/i);

const FORMAT = z.object({
  'PostgreSQL-Backup-Manifest-Version': z.union([z.literal(1), z.literal(2)]),
  'Files': z.array(
    z.object({
      'Path': z.string().optional(),
      'Encoded-Path': hex.optional(),
      'Size': z.int().min(0),
      'Checksum-Algorithm': z.string().optional(),
      'Checksum': hex.optional(),
    }),
  ),
  'WAL-Ranges': z.array(z.object({ 'Timeline': z.int().min(1), 'Start-LSN': lsn, 'End-LSN': lsn })),
  'Manifest-Checksum': hex,
});

/** Reads a manifest and checks it against its own SHA-256. Throws PgorbitError `operation-failed` that says what is wrong with it. */
export function parseManifest(bytes: Buffer): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw damaged('it is no JSON document', cause);
  }
  const parsed = FORMAT.safeParse(json);
  if (!parsed.success) throw damaged(`${parsed.error.issues[0]!.path.join('.')}: ${parsed.error.issues[0]!.message}`, parsed.error);
  checkOwnChecksum(bytes, parsed.data['Manifest-Checksum']);
  const files = new Map<string, ManifestFile>();
  for (const entry of parsed.data.Files) {
    const { 'Path': plain, 'Encoded-Path': encoded, 'Checksum-Algorithm': name, 'Checksum': checksum } = entry;
    if ((plain === undefined) === (encoded === undefined)) throw damaged('a file has no name, or two');
    const path = encoded === undefined ? Buffer.from(plain!).toString('latin1') : Buffer.from(encoded, 'hex').toString('latin1');
    if (files.has(path)) throw damaged(`it names ${path} twice`);
    files.set(path, { path, size: entry.Size, checksum: checksumOf(path, name, checksum) });
  }
  // Read from the text: it may be larger than a number of JSON.parse() can be. The members come in this order always.
  const systemIdentifier = SYSTEM.exec(bytes.toString('latin1', 0, HEAD_BYTES))?.[1] ?? null;
  const walRanges = parsed.data['WAL-Ranges'].map((range) => ({ timeline: range.Timeline, startLsn: range['Start-LSN'], endLsn: range['End-LSN'] }));
  return { systemIdentifier, files, walRanges };
}

export interface WrittenFile extends ManifestFile {
  /** ms since 1970. */
  modifiedMs: number;
}

/** A manifest as PostgreSQL 17 and later write it (backend/backup/backup_manifest.c). */
export function formatManifest(manifest: { systemIdentifier: string; files: readonly WrittenFile[]; walRanges: Manifest['walRanges'] }): Buffer {
  const files = manifest.files.map(({ path, size, modifiedMs, checksum }) => {
    const parts = [nameOf(path), `"Size": ${size}`, `"Last-Modified": "${new Date(modifiedMs).toISOString().slice(0, 19).replace('T', ' ')} GMT"`];
    if (checksum !== null) parts.push(`"Checksum-Algorithm": "${checksum.algorithm}"`, `"Checksum": "${checksum.hex}"`);
    return `{ ${parts.join(', ')} }`;
  });
  const ranges = manifest.walRanges.map(({ timeline, startLsn, endLsn }) => `{ "Timeline": ${timeline}, "Start-LSN": "${startLsn}", "End-LSN": "${endLsn}" }`);
  const head = `{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": ${manifest.systemIdentifier},\n`;
  const body = Buffer.from(`${head}"Files": [\n${files.join(',\n')}\n],\n"WAL-Ranges": [\n${ranges.join(',\n')}\n],\n`);
  return Buffer.concat([body, Buffer.from(`"Manifest-Checksum": "${createHash('sha256').update(body).digest('hex')}"}\n`)]);
}

/** A name that is no UTF-8 is written in hexadecimal. */
function nameOf(path: string): string {
  const bytes = Buffer.from(path, 'latin1');
  return isUtf8(bytes) ? `"Path": ${JSON.stringify(bytes.toString('utf8'))}` : `"Encoded-Path": "${bytes.toString('hex')}"`;
}

function checksumOf(path: string, name: string | undefined, checksum: string | undefined): ManifestFile['checksum'] {
  if (name === undefined || name.toUpperCase() === 'NONE') return null;
  const algorithm = CHECKSUM_ALGORITHMS.find((one) => one === name.toUpperCase());
  if (algorithm === undefined || checksum === undefined) throw damaged(`${path} has a checksum that is not known: ${name}`);
  return { algorithm, hex: checksum.toLowerCase() };
}

/** The last line holds the SHA-256 of all lines before it. */
function checkOwnChecksum(bytes: Buffer, expected: string): void {
  if (bytes.at(-1) !== 0x0a) throw damaged('its last line does not end');
  const lastLine = bytes.lastIndexOf(0x0a, bytes.length - 2) + 1;
  const actual = createHash('sha256').update(bytes.subarray(0, lastLine)).digest('hex');
  if (actual !== expected.toLowerCase()) throw damaged(`its checksum is ${actual}, and should be ${expected}`);
}

function damaged(what: string, cause?: unknown): PgorbitError {
  return new PgorbitError('operation-failed', `${MANIFEST_FILE} is damaged: ${what}`, { hint: 'take a new base backup', cause });
}
