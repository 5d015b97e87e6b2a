/** A base backup that becomes a data directory of this machine. */
import { join } from 'node:path';
import { chmod, chown, mkdir, readdir } from 'node:fs/promises';
import { writeDurably } from '../../durable.ts';
import { errnoOf, PgorbitError } from '../../errors.ts';
import { syncTree } from '../files.ts';
import type { OsUser } from '../osuser.ts';
import { MANIFEST_FILE } from './manifest.ts';
import { Slabs } from './slabs.ts';
import type { BackupTarget, Tree } from './target.ts';
import { TreeWriter } from './writer.ts';

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
