/** Checks a base backup against its manifest, file by file, by the rules of pg_verifybackup. */
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { eachOf } from '../../each-of.ts';
import { errnoOf, PgorbitError } from '../../errors.ts';
import { inside } from '../files.ts';
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

/** The files of a backup, wherever they are. Paths are relative, one char a byte (Latin-1). */
export interface BackupFiles {
  /** So many are read at a time. */
  readonly atOnce: number;
  /** Throws where there is none. */
  manifest(): Promise<Buffer>;
  /** Sizes of all files but those that are to be skipped; what cannot be one is added to `problems`. */
  list(skip: (path: string) => boolean, problems: Problem[]): Promise<Map<string, number>>;
  read(path: string, signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

/** As verifyFiles, of a data directory. */
export function verifyBackup(dir: string, options: VerifyOptions = {}): Promise<Problem[]> {
  return verifyFiles(new FolderFiles(dir), options);
}

/**
 * Every difference between the files of a backup and its backup_manifest; none: []. Reads all files that have a checksum.
 * A manifest that is missing or damaged is itself the one problem. Throws what the signal was aborted with, and the
 * PgorbitError of a place that cannot be reached at all.
 */
export async function verifyFiles(files: BackupFiles, options: VerifyOptions = {}): Promise<Problem[]> {
  let manifest: Manifest;
  try {
    manifest = parseManifest(await readManifest(files));
  } catch (error) {
    if (error instanceof Unreachable) throw error.cause;
    return [{ path: MANIFEST_FILE, kind: 'manifest', message: error instanceof PgorbitError ? error.message : `${MANIFEST_FILE} cannot be read: ${messageOf(error)}` }];
  }
  const problems: Problem[] = [];
  const found = await files.list(isIgnored, problems);
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
  await checkSums(files, sound, options, problems);
  return problems;
}

async function readManifest(files: BackupFiles): Promise<Buffer> {
  try {
    return await files.manifest();
  } catch (error) {
    throw error instanceof PgorbitError ? new Unreachable('', { cause: error }) : error;
  }
}

/** No word about the manifest itself. */
class Unreachable extends Error {}

async function checkSums(source: BackupFiles, files: readonly ManifestFile[], options: VerifyOptions, problems: Problem[]): Promise<void> {
  const total = files.reduce((sum, { size, checksum }) => sum + (checksum === null ? 0 : size), 0);
  let done = 0;
  await eachOf(files, source.atOnce, async ({ path, size, checksum }) => {
    options.signal?.throwIfAborted();
    if (checksum === null) return;
    try {
      const sum = makeChecksum(checksum.algorithm);
      for await (const piece of source.read(path, options.signal)) sum.update(piece as Buffer);
      const actual = sum.hex();
      if (actual !== checksum.hex) problems.push({ path, kind: 'checksum', message: `${path} is not as it was: its ${checksum.algorithm} is ${actual}, and the manifest says ${checksum.hex}` });
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof PgorbitError) throw error;
      problems.push({ path, kind: 'unreadable', message: `${path} cannot be read: ${messageOf(error)}` });
    }
    done += size;
    options.onProgress?.(done, total);
  });
}

/** Reads files of one folder with one buffer, one after the other. */
class FolderFiles implements BackupFiles {
  readonly atOnce = 1;
  readonly #dir: string;
  readonly #buffer = Buffer.allocUnsafeSlow(CHUNK);

  constructor(dir: string) {
    this.#dir = dir;
  }

  manifest(): Promise<Buffer> {
    return readFile(inside(this.#dir, MANIFEST_FILE));
  }

  async list(skip: (path: string) => boolean, problems: Problem[]): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    await this.#list('', found, problems, skip);
    return found;
  }

  async *read(path: string, signal?: AbortSignal): AsyncIterable<Buffer> {
    const handle = await open(inside(this.#dir, path), 'r');
    try {
      for (;;) {
        signal?.throwIfAborted();
        const { bytesRead } = await handle.read(this.#buffer, 0, CHUNK, null);
        if (bytesRead === 0) return;
        yield this.#buffer.subarray(0, bytesRead);
      }
    } finally {
      await handle.close();
    }
  }

  /** Links are followed as pg_verifybackup does; what is neither file nor folder is a problem. */
  async #list(folder: string, found: Map<string, number>, problems: Problem[], skip: (path: string) => boolean): Promise<void> {
    for (const name of await readdir(inside(this.#dir, folder), { encoding: 'latin1' })) {
      const path = folder === '' ? name : `${folder}/${name}`;
      if (skip(path)) continue;
      try {
        const info = await stat(inside(this.#dir, path));
        if (info.isDirectory()) await this.#list(path, found, problems, skip);
        else if (info.isFile()) found.set(path, info.size);
        else problems.push({ path, kind: 'extra', message: `${path} is neither a file nor a folder` });
      } catch (error) {
        problems.push({ path, kind: errnoOf(error) === 'ENOENT' ? 'missing' : 'unreadable', message: `${path} cannot be read: ${messageOf(error)}` });
      }
    }
  }
}

function isIgnored(path: string): boolean {
  return IGNORED.has(path.split('/', 1)[0]!);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
