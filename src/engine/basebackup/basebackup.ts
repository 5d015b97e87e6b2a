/**
 * A base backup over the replication protocol (documentation, "Streaming Replication Protocol", BASE_BACKUP;
 * backend/backup/basebackup.c), for PostgreSQL that comes without pg_basebackup.
 */
import { randomBytes } from 'node:crypto';
import { errnoOf, PgorbitError } from '../../errors.ts';
import { ReplicationClient } from '../../wire/client.ts';
import type { OsUser } from '../osuser.ts';
import { type Begin, baseBackupCommand, parseBegin, parsePosition, refuseTablespaces } from './command.ts';
import { parseManifest } from './manifest.ts';
import { Receiver } from './receiver.ts';
import { FolderTarget } from './folder-target.ts';
import type { BackupTarget } from './target.ts';

export interface BaseBackupOptions {
  /** The user needs the attribute REPLICATION; the source may be a standby. */
  source: { host: string; port: number; user: string; password: string; applicationName: string };
  /** Missing or empty; its parent exists. */
  dir: string;
  /** Where the files go instead. */
  target?: BackupTarget;
  /** PostgreSQL's user, when pgorbit is root. */
  owner: OsUser | null;
  /** `spread` waits for a checkpoint at the server's own pace: up to checkpoint_timeout. */
  checkpoint: 'fast' | 'spread';
  /** Bytes a second, at least 32 kB (PostgreSQL's limit); null: as fast as it goes. */
  rate: number | null;
  /**
   * True: the WAL that makes the copy consistent comes with it; a temporary slot keeps it on the source meanwhile.
   * False: the caller holds it with a slot, and the copy streams it when it starts.
   */
  wal: boolean;
  label: string;
  /**
   * The backup_manifest of an earlier backup: files that changed since in some blocks only come as `INCREMENTAL.` and their
   * name, with those blocks. PostgreSQL 17 and later, with summarize_wal. The server's refusal is an UpstreamError of state
   * NOT_IN_PREREQUISITE_STATE.
   */
  parentManifest?: Buffer;
  /** Bytes, about once a second; `total` is an estimate and never less than `done`. */
  onProgress: (progress: BaseBackupProgress) => void;
  signal: AbortSignal;
}

export interface BaseBackupProgress {
  done: number;
  total: number;
  step: 'checkpoint' | 'copy' | 'sync';
}

export interface BaseBackupResult {
  /** The timeline on which the copy ends; a standby may have followed another while it was copied. */
  timeline: number;
  startLsn: string;
  /** From here on the copy is consistent. */
  endLsn: string;
  /** In all files, WAL included. */
  bytes: number;
  /** Milliseconds. */
  durations: { checkpoint: number; copy: number; sync: number };
}

const CONNECT_MS = 10_000;
const READ_BYTES = 256 * 1024;
/** SQLSTATE of what a server cannot do in its present state ("PostgreSQL Error Codes"). */
export const NOT_IN_PREREQUISITE_STATE = '55000';
/** The server computes it in hardware, and of all that a manifest knows it costs least here too. */
const CHECKSUMS = 'CRC32C';

/**
 * Copies a running server's data directory to `dir`: durable, checked against the server's manifest, which is written
 * last. What fails leaves a folder without backup_manifest, and no open files.
 *
 * A copy of a standby has its standby.signal. Throws PgorbitError: `setting-refused` (tablespaces), `not-ours` (the
 * folder is not empty), `volume-full`, `host-unreachable`, `permission`, `operation-failed`, or what the signal was
 * aborted with.
 */
export async function baseBackup(options: BaseBackupOptions): Promise<BaseBackupResult> {
  const { source, signal } = options;
  const target = options.target ?? new FolderTarget(options.dir, options.owner);
  const where = `${source.host}:${source.port}`;
  try {
    signal.throwIfAborted();
    await target.prepare();
    // One read after the other to memory that stays in the processor's cache: all that is kept of it is copied.
    const arriving = Buffer.allocUnsafeSlow(READ_BYTES);
    const client = await ReplicationClient.connect({ ...source, timeoutMs: CONNECT_MS, memory: arriving }, signal);
    const cut = (): void => client.destroy();
    signal.addEventListener('abort', cut, { once: true });
    if (signal.aborted) cut();
    try {
      return await copy(options, target, client);
    } finally {
      signal.removeEventListener('abort', cut);
      client.destroy();
    }
  } catch (error) {
    throw explain(error, target.where, where, signal);
  }
}

async function copy(options: BaseBackupOptions, target: BackupTarget, client: ReplicationClient): Promise<BaseBackupResult> {
  const { onProgress, signal } = options;
  const marks = [performance.now()];
  onProgress({ done: 0, total: 0, step: 'checkpoint' });
  const begin = await beginBackup(options, client);
  refuseTablespaces(client.where, begin.tablespaces);
  marks.push(performance.now());

  let done = 0;
  const report = (step: BaseBackupProgress['step']): void => onProgress({ done, total: Math.max(done, begin.total), step });
  report('copy');
  const { manifest, end, bytes } = await receive(client, target, (now) => {
    done = now;
    report('copy');
  });
  signal.throwIfAborted();
  marks.push(performance.now());

  report('sync');
  await target.sync();
  signal.throwIfAborted();
  await target.seal(manifest);
  marks.push(performance.now());

  const [start, copying, syncing, ended] = marks as [number, number, number, number];
  return {
    timeline: end.timeline, startLsn: begin.lsn, endLsn: end.lsn, bytes,
    durations: { checkpoint: copying - start, copy: syncing - copying, sync: ended - syncing },
  };
}

/** Until the stream opens: the server makes a checkpoint and adds up what it has. */
async function beginBackup(options: BaseBackupOptions, client: ReplicationClient): Promise<Begin> {
  // Without it a copy of hours fails at its end, because the WAL of its beginning is gone. The slot ends with the connection.
  // Names that begin with pgorbit_ are the members': an agent drops those that it does not know, and cuts who uses them.
  if (options.wal) await client.command(`CREATE_REPLICATION_SLOT "copy_${randomBytes(6).toString('hex')}" TEMPORARY PHYSICAL ( RESERVE_WAL )`);
  const { parentManifest } = options;
  if (parentManifest !== undefined) await client.copyIn('UPLOAD_MANIFEST', parentManifest);
  const answer = await client.command(baseBackupCommand({ ...options, checksums: CHECKSUMS, incremental: parentManifest !== undefined }));
  if (answer.kind !== 'copy-out') throw new PgorbitError('operation-failed', `${client.where} does not answer BASE_BACKUP with a copy`, { hint: 'is this a PostgreSQL server of version 15 to 18?' });
  return parseBegin(answer.rows);
}

interface Copied {
  manifest: Buffer;
  end: { lsn: string; timeline: number };
  bytes: number;
}

/** Resolves when all files are written and closed, and are what the manifest says. */
async function receive(client: ReplicationClient, target: BackupTarget, onProgress: (bytes: number) => void): Promise<Copied> {
  // What went wrong here: the connection then only says that it was cut.
  let failure: unknown = null;
  const relieve = (): void => {
    if (writer.backlog <= writer.limits.resume) client.resume();
  };
  const writer = target.open(relieve, (error) => {
    failure ??= error;
    client.destroy();
  });
  const receiver = new Receiver({ where: client.where, algorithm: CHECKSUMS, writer, onProgress });
  try {
    const rows = await client.copyOut((piece, begins, ends) => {
      try {
        receiver.piece(piece, begins, ends);
      } catch (error) {
        failure ??= error;
        throw error;
      }
      if (writer.backlog >= writer.limits.most) client.pause();
    });
    const manifest = receiver.finish();
    receiver.compare(parseManifest(manifest));
    await writer.settled();
    if (failure !== null) throw failure;
    return { manifest, end: parsePosition(rows.at(-1)), bytes: receiver.bytes };
  } catch (error) {
    client.destroy();
    writer.abandon();
    await writer.settled();
    throw failure ?? error;
  }
}

function explain(error: unknown, dir: string, where: string, signal: AbortSignal): PgorbitError {
  if (signal.aborted) return signal.reason instanceof PgorbitError ? signal.reason : new PgorbitError('operation-failed', `the base backup of ${where} was cancelled`, { cause: signal.reason });
  const code = errnoOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new PgorbitError('volume-full', `there is no room left in ${dir} for the base backup of ${where}`, { hint: `see \`df ${dir}\`; the copy needs as much as the source has, and room for its WAL`, cause: error });
  }
  if (error instanceof PgorbitError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return new PgorbitError('permission', `${dir} cannot be written: ${message}`, { cause: error });
  return new PgorbitError('operation-failed', `the base backup of ${where} to ${dir} failed: ${message}`, { cause: error });
}
