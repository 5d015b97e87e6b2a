/** A store in a folder: a value is a file. */
import { createReadStream } from 'node:fs';
import { link, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { TEMPORARY, syncFolder, writeDurably } from '../durable.ts';
import { FolderTarget } from '../engine/basebackup/folder-target.ts';
import type { BackupTarget } from '../engine/basebackup/target.ts';
import type { OsUser } from '../engine/osuser.ts';
import { errnoOf, PgorbitError } from '../errors.ts';
import { beside, keyIn } from './keys.ts';
import { lockFile } from './lock.ts';
import type { Held, Store, StoredValue } from './store.ts';

/** PostgreSQL's user passes through to the data of a backup, which are its own; nobody else can list what is there. */
const FOLDER_MODE = 0o711;

/** Held by a process that lives: it is never lost. */
const NEVER = new AbortController().signal;

export class FolderStore implements Store {
  readonly where: string;
  readonly atOnce = 1;

  constructor(dir: string) {
    this.where = dir;
  }

  /** The file or folder of a key. */
  path(key: string): string {
    return join(this.where, key);
  }

  local(key: string): string {
    return this.path(key);
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

  async create(key: string, value: Buffer): Promise<boolean> {
    const file = this.path(key);
    const aside = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}${TEMPORARY}`);
    try {
      await this.makeFolder(dirname(key));
      await writeFile(aside, value, { mode: 0o600, flag: 'wx', flush: true });
      await link(aside, file);
      await syncFolder(dirname(file));
      return true;
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      throw explainStore(error, file);
    } finally {
      await rm(aside, { force: true });
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

  async *read(key: string, signal?: AbortSignal): AsyncIterable<Buffer> {
    yield* createReadStream(this.path(key), { highWaterMark: 1 << 20, ...(signal === undefined ? {} : { signal }) }) as AsyncIterable<Buffer>;
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
      const value = await this.stat(keyIn(folder, name));
      if (value !== null) found.push(value);
    }
    return found;
  }

  async listAll(folder: string): Promise<StoredValue[]> {
    const found = await this.list(folder);
    for (const name of await this.#folders(folder)) found.push(...(await this.listAll(keyIn(folder, name))));
    return found;
  }

  async folders(folder: string): Promise<string[]> {
    return (await this.#folders(folder)).filter((name) => !isHidden(name));
  }

  async #folders(folder: string): Promise<string[]> {
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
    await this.#do(key, async (path) => {
      try {
        await rm(path);
      } catch (error) {
        if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return;
        throw error;
      }
      await syncFolder(dirname(path));
    });
  }

  async begin(key: string): Promise<string> {
    const fresh = beside(key, 'new');
    await this.#do(fresh, () => this.makeFolder(fresh));
    return fresh;
  }

  async publish(key: string): Promise<void> {
    await this.#do(key, async (path) => {
      await rename(this.path(beside(key, 'new')), path);
      await syncFolder(dirname(path));
    });
  }

  async remove(key: string): Promise<void> {
    await this.#do(key, async (path) => {
      await rm(this.path(beside(key, 'new')), { recursive: true, force: true });
      const gone = this.path(beside(key, 'gone'));
      try {
        await rename(path, gone);
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return;
        throw error;
      }
      await syncFolder(dirname(path));
      await rm(gone, { recursive: true, force: true });
    });
  }

  async clear(folder: string): Promise<void> {
    for (const name of await this.#folders(folder)) {
      if (isHidden(name)) await this.#do(keyIn(folder, name), (path) => rm(path, { recursive: true, force: true }));
    }
  }

  target(folder: string, owner: OsUser | null): BackupTarget {
    return new FolderTarget(this.path(folder), owner);
  }

  async lock(key: string, what: string): Promise<Held> {
    try {
      await this.makeFolder(dirname(key));
      return { lost: NEVER, release: await lockFile(this.path(key), what) };
    } catch (error) {
      throw explainStore(error, this.path(key));
    }
  }

  async #do(key: string, work: (path: string) => Promise<void>): Promise<void> {
    try {
      await work(this.path(key));
    } catch (error) {
      throw explainStore(error, this.path(key));
    }
  }
}

/** A folder that is not there yet, or no more. */
const isHidden = (name: string): boolean => name.startsWith('.');

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
