/** Copies the data of a backup to where a server will run on it, file by file. */
import { chmod, chown, constants, copyFile, mkdir, readdir, stat } from 'node:fs/promises';
import { eachOf } from '../../each-of.ts';
import { inside, syncTree } from '../../engine/files.ts';
import type { OsUser } from '../../engine/osuser.ts';
import { PgorbitError } from '../../errors.ts';
import { explainStore } from '../folder-store.ts';

const FILES_AT_ONCE = 3;

/** Where the data of a restore go. */
export interface Destination {
  /** Made here; its parent exists. */
  to: string;
  owner: OsUser | null;
  /** Bytes. */
  onProgress: (done: number) => void;
  signal: AbortSignal;
}

export interface CopyOptions extends Destination {
  from: string;
  /** Null for a file that is copied as it is; else its name in the copy, and who makes it. Names are Latin-1. */
  instead?: (path: string) => { path: string; make: (file: Buffer) => Promise<void> } | null;
  /** Called for every file that is there. */
  onFile?: (path: string, info: { size: number; mtimeMs: number }) => void;
}

/** Durable when it resolves. Shares blocks where the file system can. Throws PgorbitError, and what the signal was aborted with. */
export async function copyData(options: CopyOptions): Promise<void> {
  const { from, to, owner, signal } = options;
  const files: string[] = [];
  let done = 0;
  const give = async (path: Buffer, mode: number): Promise<void> => {
    await chmod(path, mode);
    if (owner !== null) await chown(path, owner.uid, owner.gid);
  };
  const folder = async (path: string): Promise<void> => {
    signal.throwIfAborted();
    await mkdir(inside(to, path), { mode: 0o700 });
    await give(inside(to, path), 0o700);
    for (const entry of await readdir(inside(from, path), { withFileTypes: true, encoding: 'latin1' })) {
      const below = path === '' ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) await folder(below);
      else if (entry.isFile()) files.push(below);
      else throw new PgorbitError('backup-damaged', `${from}/${below} is neither a file nor a folder`);
    }
  };
  const copy = async (path: string): Promise<void> => {
    signal.throwIfAborted();
    const other = options.instead?.(path) ?? null;
    const name = other?.path ?? path;
    const file = inside(to, name);
    if (other === null) await cloneFile(inside(from, path), file);
    else await other.make(file);
    await give(file, 0o600);
    const info = await stat(file);
    options.onFile?.(name, info);
    done += info.size;
    options.onProgress(done);
  };
  try {
    await folder('');
    await eachOf(files, FILES_AT_ONCE, copy);
    await syncTree(to);
  } catch (error) {
    throw explainStore(error, to);
  }
}

/** Shares blocks where the file system can. */
export function cloneFile(from: Buffer, to: Buffer): Promise<void> {
  return copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
}
