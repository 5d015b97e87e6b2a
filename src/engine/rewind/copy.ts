/** Carries a plan out: everything below the data directory but pg_wal and the control file. */
import { type FileHandle, chown, mkdir, open, rm, rmdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../errors.ts';
import type { OsUser } from '../osuser.ts';
import type { Range, RewindPlan } from './plan.ts';
import type { RewindSource } from './source.ts';

const CHUNK = 1 << 20;
const BATCH_BYTES = 4 << 20;
const BATCH_RANGES = 500;

export interface CopyOptions {
  dataDir: string;
  source: RewindSource;
  plan: RewindPlan;
  owner: OsUser | null;
  /** The mode of new files; folders may be searched as well. */
  mode: number;
  onProgress: (done: number) => void;
  signal: AbortSignal;
}

interface Piece extends Range {
  /** The first piece of a file that is copied whole: what was there before goes. */
  fresh: boolean;
  /** Bytes that the plan counts for it. */
  planned: number;
}

/** Does what the plan says, in its order. Resolves to the bytes fetched. Nothing is synced. */
export async function copyFiles(options: CopyOptions): Promise<number> {
  const { dataDir, source, plan, owner, mode, onProgress, signal } = options;
  for (const path of plan.folders) {
    const folder = join(dataDir, path);
    await mkdir(folder, { mode: mode | ((mode & 0o444) >> 2) });
    if (owner) await chown(folder, owner.uid, owner.gid);
  }
  let done = 0;
  let bytes = 0;
  const writer = new Writer(dataDir, owner, mode);
  try {
    for (const batch of batches(pieces(plan))) {
      signal.throwIfAborted();
      const chunks = await source.read(batch);
      for (const [index, piece] of batch.entries()) {
        const chunk = chunks[index] ?? null;
        await writer.write(piece, chunk);
        bytes += chunk?.length ?? 0;
        done += piece.planned;
      }
      onProgress(done);
    }
  } finally {
    await writer.close();
  }
  for (const { path, size } of plan.truncations) await truncate(join(dataDir, path), size);
  for (const { path, folder } of plan.removals) {
    if (folder) await rmdir(join(dataDir, path));
    else await rm(join(dataDir, path), { force: true });
  }
  return bytes;
}

/**
 * What to ask for. A small file is asked for beyond its size, because it may have grown since it was listed; of larger
 * ones that grow, WAL has the rest.
 */
function* pieces(plan: RewindPlan): Generator<Piece> {
  for (const { path, size } of plan.copies) {
    yield { path, offset: 0, length: CHUNK, fresh: true, planned: Math.min(size, CHUNK) };
    if (size > CHUNK) yield* split({ path, offset: CHUNK, length: size - CHUNK });
  }
  for (const range of plan.ranges) yield* split(range);
}

function* split({ path, offset, length }: Range): Generator<Piece> {
  for (let at = 0; at < length; at += CHUNK) {
    const size = Math.min(CHUNK, length - at);
    yield { path, offset: offset + at, length: size, fresh: false, planned: size };
  }
}

function* batches(all: Iterable<Piece>): Generator<Piece[]> {
  let batch: Piece[] = [];
  let bytes = 0;
  for (const piece of all) {
    batch.push(piece);
    bytes += piece.planned;
    if (bytes < BATCH_BYTES && batch.length < BATCH_RANGES) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

/** Writes pieces, keeping the last file open: pieces come file by file. */
class Writer {
  readonly #dataDir: string;
  readonly #owner: OsUser | null;
  readonly #mode: number;
  #path: string | null = null;
  #handle: FileHandle | null = null;

  constructor(dataDir: string, owner: OsUser | null, mode: number) {
    this.#dataDir = dataDir;
    this.#owner = owner;
    this.#mode = mode;
  }

  /** `chunk` is null where the source has deleted the file since: it goes here too, as replay would have it. */
  async write(piece: Piece, chunk: Buffer | null): Promise<void> {
    if (piece.path !== this.#path || piece.fresh) {
      await this.close();
      this.#path = piece.path;
      if (chunk !== null) this.#handle = await this.#open(piece);
    }
    if (chunk === null) {
      await this.close();
      this.#path = piece.path;
      await rm(join(this.#dataDir, piece.path), { force: true });
    } else {
      await writeAll(this.#handle, chunk, piece.offset);
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    this.#path = null;
    await handle?.close();
  }

  /** Null where a file that was to be changed has gone: the source deleted it earlier in this rewind. */
  async #open(piece: Piece): Promise<FileHandle | null> {
    const file = join(this.#dataDir, piece.path);
    try {
      const handle = await open(file, piece.fresh ? 'w' : 'r+', this.#mode);
      if (this.#owner) await handle.chown(this.#owner.uid, this.#owner.gid);
      return handle;
    } catch (error) {
      if (piece.fresh || errnoOf(error) !== 'ENOENT') throw error;
      return null;
    }
  }
}

async function writeAll(handle: FileHandle | null, chunk: Buffer, offset: number): Promise<void> {
  for (let at = 0; handle !== null && at < chunk.length; ) {
    at += (await handle.write(chunk, at, chunk.length - at, offset + at)).bytesWritten;
  }
}
