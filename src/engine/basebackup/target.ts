/** Where the files of a base backup go: a folder of this machine, or another place that takes them as they arrive. */
import { join } from 'node:path';
import { chmod, chown, mkdir, readdir } from 'node:fs/promises';
import { writeDurably } from '../../durable.ts';
import { errnoOf, PgorbitError } from '../../errors.ts';
import { syncTree } from '../files.ts';
import type { OsUser } from '../osuser.ts';
import { MANIFEST_FILE } from './manifest.ts';
import { Slabs } from './slabs.ts';
import { TreeWriter } from './writer.ts';

export interface BackupTarget {
  /** For messages. */
  readonly where: string;
  /** The folders that came, where they would be lost because it holds only files. */
  readonly folders?: string[];
  /** Makes it ready, and refuses what is not empty. */
  prepare(): Promise<void>;
  /** The arguments are those of TreeWriter. */
  open(onWritten: () => void, onFailure: (error: unknown) => void): Tree;
  /** All that was written is durable. */
  sync(): Promise<void>;
  /** The manifest is written last. */
  seal(manifest: Buffer): Promise<void>;
}

/** Paths are relative, one char a byte (Latin-1). */
export interface Tree {
  /** Bytes behind which the source has to wait, and at which it goes on. */
  readonly limits: { most: number; resume: number };
  /** Bytes that were added and are not written yet, and something for each file. */
  readonly backlog: number;
  folder(path: string): void;
  /** Begins a new file of so many bytes. */
  file(path: string, size: number): Sink;
  /** Resolves when every file is closed. */
  settled(): Promise<void>;
  /** Writes no more; a file that was not ended ends here. */
  abandon(): void;
}

/** Takes the bytes of one file; a piece is only valid until the call returns. */
export interface Sink {
  add(piece: Buffer): void;
  end(): void;
}

/** The data directory `dir`: missing or empty, and its parent exists. */
export class FolderTarget implements BackupTarget {
  readonly where: string;
  readonly #owner: OsUser | null;

  constructor(dir: string, owner: OsUser | null) {
    this.where = dir;
    this.#owner = owner;
  }

  async prepare(): Promise<void> {
    const dir = this.where;
    try {
      await mkdir(dir);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      if ((await readdir(dir)).length > 0) throw new PgorbitError('not-ours', `${dir} is not empty: no base backup is written there`, { hint: 'name an empty folder, or one that does not exist' });
    }
    await chmod(dir, 0o700);
    if (this.#owner) await chown(dir, this.#owner.uid, this.#owner.gid);
  }

  open(onWritten: () => void, onFailure: (error: unknown) => void): Tree {
    return new TreeWriter(this.where, this.#owner, new Slabs(), onWritten, onFailure);
  }

  sync(): Promise<void> {
    return syncTree(this.where);
  }

  seal(manifest: Buffer): Promise<void> {
    return writeDurably(join(this.where, MANIFEST_FILE), manifest, { asFolderOwner: true });
  }
}
