/** Checks a base backup against its manifest, file by file, by the rules of pg_verifybackup. */
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, PgorbitError } from '../../errors.ts';
import { makeChecksum } from './checksum.ts';
import { type Manifest, type ManifestFile, MANIFEST_FILE, parseManifest } from './manifest.ts';

export interface Problem {
  /** Relative to the backup. */
  path: string;
  kind: 'manifest' | 'missing' | 'extra' | 'size' | 'checksum' | 'unreadable';
  /** One sentence that names the file. */
  message: string;
}

export interface VerifyOptions {
  signal?: AbortSignal;
  /** Bytes read so far, and in all. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * What pg_verifybackup leaves out: WAL has checksums of its own, and the rest may be changed when a copy is made into
 * a member.
 */
const IGNORED = new Set([MANIFEST_FILE, 'pg_wal', 'postgresql.auto.conf', 'recovery.signal', 'standby.signal']);

const CHUNK = 1024 * 1024;

/**
 * Every difference between the files in `dir` and its backup_manifest; none: []. Reads all files that have a checksum.
 * A manifest that is missing or damaged is itself the one problem. Throws what the signal was aborted with.
 */
export async function verifyBackup(dir: string, options: VerifyOptions = {}): Promise<Problem[]> {
  let manifest: Manifest;
  try {
    manifest = parseManifest(await readFile(join(dir, MANIFEST_FILE)));
  } catch (error) {
    return [{ path: MANIFEST_FILE, kind: 'manifest', message: error instanceof PgorbitError ? error.message : `${MANIFEST_FILE} cannot be read: ${messageOf(error)}` }];
  }
  const problems: Problem[] = [];
  const found = new Map<string, number>();
  await list(Buffer.from(dir), '', found, problems);

  for (const path of found.keys()) {
    if (!manifest.files.has(path)) problems.push({ path, kind: 'extra', message: `${path} is there, and the manifest does not know it` });
  }
  const told = new Set(problems.map(({ path }) => path));
  const sound: ManifestFile[] = [];
  for (const file of manifest.files.values()) {
    const { path } = file;
    const size = found.get(path);
    if (isIgnored(path) || told.has(path)) continue;
    if (size === undefined) problems.push({ path, kind: 'missing', message: `${path} is missing` });
    else if (size !== file.size) problems.push({ path, kind: 'size', message: `${path} has ${size} bytes, and the manifest says ${file.size}` });
    else sound.push(file);
  }
  await checkSums(dir, sound, options, problems);
  return problems;
}

async function checkSums(dir: string, files: readonly ManifestFile[], options: VerifyOptions, problems: Problem[]): Promise<void> {
  const total = files.reduce((sum, { size, checksum }) => sum + (checksum === null ? 0 : size), 0);
  const buffer = Buffer.allocUnsafeSlow(CHUNK);
  let done = 0;
  for (const { path, size, checksum } of files) {
    options.signal?.throwIfAborted();
    if (checksum === null) continue;
    try {
      const actual = await sumOf(inside(Buffer.from(dir), path), checksum.algorithm, buffer, options.signal);
      if (actual !== checksum.hex) problems.push({ path, kind: 'checksum', message: `${path} is not as it was: its ${checksum.algorithm} is ${actual}, and the manifest says ${checksum.hex}` });
    } catch (error) {
      options.signal?.throwIfAborted();
      problems.push({ path, kind: 'unreadable', message: `${path} cannot be read: ${messageOf(error)}` });
    }
    done += size;
    options.onProgress?.(done, total);
  }
}

async function sumOf(path: Buffer, algorithm: NonNullable<ManifestFile['checksum']>['algorithm'], buffer: Buffer, signal: AbortSignal | undefined): Promise<string> {
  const checksum = makeChecksum(algorithm);
  const handle = await open(path, 'r');
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return checksum.hex();
      checksum.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}

/** Sizes of all files below `folder`, links followed as pg_verifybackup does; what is neither file nor folder is a problem. */
async function list(dir: Buffer, folder: string, found: Map<string, number>, problems: Problem[]): Promise<void> {
  for (const name of await readdir(inside(dir, folder), { encoding: 'latin1' })) {
    const path = folder === '' ? name : `${folder}/${name}`;
    if (isIgnored(path)) continue;
    try {
      const info = await stat(inside(dir, path));
      if (info.isDirectory()) await list(dir, path, found, problems);
      else if (info.isFile()) found.set(path, info.size);
      else problems.push({ path, kind: 'extra', message: `${path} is neither a file nor a folder` });
    } catch (error) {
      problems.push({ path, kind: errnoOf(error) === 'ENOENT' ? 'missing' : 'unreadable', message: `${path} cannot be read: ${messageOf(error)}` });
    }
  }
}

function isIgnored(path: string): boolean {
  return IGNORED.has(path.split('/', 1)[0]!);
}

/** Names are bytes, one char each (Latin-1), as in Manifest. */
function inside(dir: Buffer, path: string): Buffer {
  return path === '' ? dir : Buffer.concat([dir, Buffer.from(`/${path}`, 'latin1')]);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
