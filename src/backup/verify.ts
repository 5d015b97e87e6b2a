/** Checks a backup, and the WAL that was archived since, file by file. */
import { createHash } from 'node:crypto';
import { basename, dirname } from 'node:path';
import { MANIFEST_FILE } from '../engine/basebackup/manifest.ts';
import { verifyBackup, verifyFiles } from '../engine/basebackup/verify.ts';
import { errnoOf, PgorbitError } from '../errors.ts';
import { parseHistoryFileName } from '../wal/history.ts';
import { type Chain, walChain } from './chain.ts';
import { FolderStore } from './folder-store.ts';
import { type Generation, checkLineage, generationAt, lineageOf } from './incremental/lineage.ts';
import type { BackupInfo } from './info.ts';
import type { SystemFolder } from './repository.ts';
import { StoredFiles } from './stored-files.ts';
import { sumOf, sumOfPieces } from './sums.ts';

export interface StoredProblem {
  /** The file, in full. */
  path: string;
  /** `wal` problems lie behind the backup's end: what comes before them can still be restored. */
  kind: 'backup' | 'wal';
  /** One sentence that names the file. */
  message: string;
}

export interface Verdict {
  info: BackupInfo;
  /** The full backup first, the backup itself last; what is known of it where one is missing. */
  lineage: readonly Generation[];
  /** Null where it cannot be told which WAL belongs to the backup. */
  chain: Chain | null;
  problems: StoredProblem[];
}

export interface VerifyOptions {
  signal?: AbortSignal;
  /** Bytes read so far of those in all. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Reads the whole backup, all that it builds on, and the WAL that follows it. A file that cannot be checked is a problem too; throws only
 * `no-such-backup`, `backup-damaged` (backup.json itself), that the store cannot be reached, and what the signal was aborted with.
 */
export async function verifyStored(system: SystemFolder, label: string, options: VerifyOptions = {}): Promise<Verdict> {
  const info = await system.info(label);
  const { lineage, problems } = await checkAll(system, info, options);
  const chain = await triedChain(system, info, problems);
  if (chain !== null) problems.push(...missingOf(system, chain), ...(await checkArchive(system, info, chain, options)));
  return { info, lineage, chain, problems };
}

/**
 * What can be told of a backup without reading its data and segments: whether all that it builds on is there, and the WAL, by
 * name. Who fetches them out of a store looks at what came, so that each is read once. Throws as verifyStored does.
 */
export async function outlineStored(system: SystemFolder, label: string): Promise<Verdict> {
  const info = await system.info(label);
  const problems: StoredProblem[] = [];
  const lineage = await triedLineage(system, info, problems);
  const chain = await triedChain(system, info, problems);
  if (chain !== null) problems.push(...missingOf(system, chain));
  return { info, lineage, chain, problems };
}

/** Null, and a problem more, where the WAL does not fit together. */
async function triedChain(system: SystemFolder, info: BackupInfo, problems: StoredProblem[]): Promise<Chain | null> {
  try {
    return await chainOf(system, info);
  } catch (error) {
    if (!(error instanceof PgorbitError) || error.code === 'permission') throw error;
    problems.push({ path: system.path('wal'), kind: 'backup', message: error.message });
    return null;
  }
}

/** The backup alone, and a problem more, where one that it builds on is missing or another. */
async function triedLineage(system: SystemFolder, info: BackupInfo, problems: StoredProblem[]): Promise<Generation[]> {
  return (await tried(system, info, problems, () => lineageOf(system, info))) ?? [generationAt(system.store, system.dataKey(info.label), info)];
}

async function tried<T>(system: SystemFolder, { label }: BackupInfo, problems: StoredProblem[], work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof PgorbitError) || (error.code !== 'backup-damaged' && error.code !== 'wal-invalid')) throw error;
    problems.push({ path: system.path('backups', label), kind: 'backup', message: error.message });
    return null;
  }
}

/** The files of the backup, and of all that it builds on; whether they fit where each is sound by itself. */
async function checkAll(system: SystemFolder, info: BackupInfo, options: VerifyOptions): Promise<{ lineage: Generation[]; problems: StoredProblem[] }> {
  const problems: StoredProblem[] = [];
  const lineage = await triedLineage(system, info, problems);
  const total = lineage.reduce((sum, one) => sum + one.info.bytes, 0);
  let before = 0;
  for (const one of lineage) {
    const onProgress = (done: number): void => options.onProgress?.(before + done, Math.max(total, before + done));
    problems.push(...(await checkData(system, one, { ...options, onProgress })));
    before += one.info.bytes;
  }
  if (lineage.length > 1 && problems.length === 0) await tried(system, info, problems, () => checkLineage(lineage));
  return { lineage, problems };
}

/** The WAL that follows a backup, by the names of what is there. */
export async function chainOf(system: SystemFolder, info: BackupInfo): Promise<Chain> {
  const archived = await system.archived();
  const histories = new Map<number, string>();
  for (const { name } of info.wal) {
    const timeline = parseHistoryFileName(name);
    if (timeline === null) continue;
    const text = await system.store.get(system.key('backups', info.label, 'data', 'pg_wal', name));
    if (text !== null) histories.set(timeline, text.toString('utf8'));
  }
  for (const name of archived) {
    const timeline = parseHistoryFileName(name);
    const text = timeline === null ? null : await system.store.get(system.key('wal', name));
    if (timeline !== null && text !== null) histories.set(timeline, text.toString('utf8'));
  }
  return walChain({ backup: info, own: info.wal.map(({ name }) => name), archived, histories });
}

/**
 * Data files against the manifest, the manifest and WAL against backup.json.
 * @param copy a folder with what was fetched of them, which is read instead; messages name what it was fetched from.
 */
export async function checkData(system: SystemFolder, { info }: Generation, options: VerifyOptions, copy: string | null = null): Promise<StoredProblem[]> {
  const dir = system.dataDir(info.label);
  const store = copy === null ? system.store : new FolderStore(dirname(copy));
  const data = copy === null ? system.dataKey(info.label) : basename(copy);
  const local = store.local(data);
  const problems: StoredProblem[] = [];
  const add = (path: string, message: string): void => void problems.push({ path, kind: 'backup', message });
  const manifest = await store.get(`${data}/${MANIFEST_FILE}`).catch(() => null);
  if (manifest !== null && createHash('sha256').update(manifest).digest('hex') !== info.manifestSha256) add(`${dir}/${MANIFEST_FILE}`, `${dir}/${MANIFEST_FILE} is not the one that was written with the backup`);
  const differences = local === null ? await verifyFiles(new StoredFiles(store, data), options) : await verifyBackup(local, options);
  for (const problem of differences) add(`${dir}/${problem.path}`, `${dir}: ${problem.message}`);
  for (const { name, size, crc32c } of info.wal) {
    const file = `${dir}/pg_wal/${name}`;
    try {
      const found = await sumOfPieces(store.read(`${data}/pg_wal/${name}`, options.signal));
      if (found.size !== size) add(file, `${file} has ${found.size} bytes, and had ${size}`);
      else if (found.crc32c !== crc32c) add(file, `${file} is not as it was: its CRC32C is ${found.crc32c}, and was ${crc32c}`);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof PgorbitError) throw error;
      add(file, errnoOf(error) === 'ENOENT' ? `${file} is missing` : `${file} cannot be read: ${(error as Error).message}`);
    }
  }
  return problems;
}

/** Segments between others, or before them, that the archive lacks. */
function missingOf(system: SystemFolder, chain: Chain): StoredProblem[] {
  return chain.missing.map((name) => {
    const file = system.path('wal', name);
    return { path: file, kind: 'wal', message: `${file} is missing: WAL that was archived later can't be replayed without it` };
  });
}

async function checkArchive(system: SystemFolder, info: BackupInfo, chain: Chain, options: VerifyOptions): Promise<StoredProblem[]> {
  const problems: StoredProblem[] = [];
  // The copy's own WAL makes it consistent: without it there is nothing to restore.
  const own = new Set(info.wal.map(({ name }) => name));
  for (const segment of chain.segments) {
    options.signal?.throwIfAborted();
    if (!segment.archived || segment.partial) continue;
    const problem = await checkSegment(system, segment.name);
    if (problem !== null) problems.push({ path: system.path('wal', segment.name), kind: own.has(segment.name) ? 'backup' : 'wal', message: problem });
  }
  return problems;
}

/** What is wrong with an archived segment, in one sentence that names it, or null. */
export async function checkSegment(system: SystemFolder, name: string, content?: Buffer): Promise<string | null> {
  const file = system.path('wal', name);
  const bytes = content ?? (await system.store.get(system.key('wal', name)));
  if (bytes === null) return `${file} is missing`;
  const sum = (await system.store.get(system.key('sums', name)))?.toString('latin1').trim();
  if (sum === undefined) return `${system.path('sums', name)}, the checksum of ${file}, is missing`;
  const actual = sumOf(bytes);
  return actual === sum ? null : `${file} is not as it was: its CRC32C is ${actual}, and was ${sum}`;
}
