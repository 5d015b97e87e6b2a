/** Reads backup_manifest (documentation, "Backup Manifest Format"; src/common/parse_manifest.c). */
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
  files: ReadonlyMap<string, ManifestFile>;
  /** What must be replayed before the backup is consistent. */
  walRanges: readonly { timeline: number; startLsn: string; endLsn: string }[];
}

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
  const walRanges = parsed.data['WAL-Ranges'].map((range) => ({ timeline: range.Timeline, startLsn: range['Start-LSN'], endLsn: range['End-LSN'] }));
  return { files, walRanges };
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
