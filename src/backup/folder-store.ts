/** A store in a folder: a value is a file. */
import { mkdir, readFile, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TEMPORARY, syncFolder, writeDurably } from '../durable.ts';
import { errnoOf, PgorbitError } from '../errors.ts';
import type { Store, StoredValue } from './store.ts';

/** PostgreSQL's user passes through to the data of a backup, which are its own; nobody else can list what is there. */
const FOLDER_MODE = 0o711;

export class FolderStore implements Store {
  readonly where: string;

  constructor(dir: string) {
    this.where = dir;
  }

  /** The file or folder of a key. */
  path(key: string): string {
    return join(this.where, key);
  }

  async put(key: string, value: Buffer): Promise<void> {
    const file = this.path(key);
    try {
      await this.makeFolder(dirname(key));
      await writeDurably(file, value);
    } catch (error) {
      throw explainStore(error, file);
    }
  }

  /** Makes the folder of keys that begin with `key`, durably. */
  async makeFolder(key: string): Promise<void> {
    const made = await mkdir(this.path(key), { recursive: true, mode: FOLDER_MODE });
    if (made === undefined) return;
    for (let folder = this.path(key); folder.length >= made.length; folder = dirname(folder)) await syncFolder(dirname(folder));
  }

  async get(key: string): Promise<Buffer | null> {
    try {
      return await readFile(this.path(key));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null;
      throw explainStore(error, this.path(key));
    }
  }

  async list(folder: string): Promise<StoredValue[]> {
    let names: string[];
    try {
      names = (await readdir(this.path(folder), { withFileTypes: true })).filter((entry) => entry.isFile() && !entry.name.endsWith(TEMPORARY)).map((entry) => entry.name);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw explainStore(error, this.path(folder));
    }
    const found: StoredValue[] = [];
    for (const name of names.sort()) {
      const value = await this.stat(`${folder}/${name}`);
      if (value !== null) found.push(value);
    }
    return found;
  }

  /** The names of the folders directly below `folder`. */
  async folders(folder: string): Promise<string[]> {
    try {
      return (await readdir(this.path(folder), { withFileTypes: true })).filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort();
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw explainStore(error, this.path(folder));
    }
  }

  async stat(key: string): Promise<StoredValue | null> {
    try {
      const { size, mtimeMs } = await stat(this.path(key));
      return { key, size, modifiedMs: mtimeMs };
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null;
      throw explainStore(error, this.path(key));
    }
  }

  async delete(key: string): Promise<void> {
    try {
      await rm(this.path(key), { force: true });
    } catch (error) {
      throw explainStore(error, this.path(key));
    }
  }
}

/** A system error of a file in a store, for a person. */
export function explainStore(error: unknown, file: string): unknown {
  const code = errnoOf(error);
  if (error instanceof PgorbitError || code === undefined) return error;
  const message = (error as Error).message;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new PgorbitError('volume-full', `there is no room left for ${file}`, { hint: `make room there (\`pgorbit backup rm --keep N\` drops old backups), and try again; see \`df ${dirname(file)}\``, cause: error });
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return new PgorbitError('permission', `${file} can't be used: ${message}`, { hint: 'run it as the user who made the repository, or name another folder', cause: error });
  return new PgorbitError('operation-failed', `${file}: ${message}`, { hint: 'see the kernel log for errors of the disk below', cause: error });
}
