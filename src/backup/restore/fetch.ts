/** Fetches the data of a backup from a store that is no folder to where a server will run on it. */
import { chown, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { eachOf } from '../../each-of.ts';
import { inside, syncTree } from '../../engine/files.ts';
import { explainStore } from '../folder-store.ts';
import type { Store } from '../store.ts';
import { pathOf } from '../stored-files.ts';
import type { Destination } from './copy.ts';

export interface FetchOptions extends Destination {
  store: Store;
  /** The key of the backup's data. */
  from: string;
  /** Folders that are made, also where no file lies in them; relative, one char a byte (Latin-1). */
  folders: readonly string[];
}

/** Durable when it resolves. Throws PgorbitError, and what the signal was aborted with. */
export async function fetchData(options: FetchOptions): Promise<void> {
  const { store, from, to, signal } = options;
  const own = async (path: Buffer): Promise<void> => {
    if (options.owner !== null) await chown(path, options.owner.uid, options.owner.gid);
  };
  let done = 0;
  try {
    const files = (await store.listAll(from)).map(({ key }) => ({ key, path: pathOf(key.slice(from.length + 1)) }));
    for (const folder of foldersOf([...options.folders, ...files.map(({ path }) => dirname(path))])) {
      await mkdir(inside(to, folder), { mode: 0o700 });
      await own(inside(to, folder));
    }
    await eachOf(files, store.atOnce, async ({ key, path }, failed) => {
      signal.throwIfAborted();
      const handle = await open(inside(to, path), 'wx', 0o600);
      try {
        await own(inside(to, path));
        for await (const piece of store.read(key, AbortSignal.any([signal, failed]))) {
          await handle.writeFile(piece);
          done += piece.length;
          options.onProgress(done);
        }
      } finally {
        await handle.close();
      }
    });
    await syncTree(to);
  } catch (error) {
    throw explainStore(error, to);
  }
}

/** With all that they lie in, outer ones first. Pure. */
export function foldersOf(paths: readonly string[]): string[] {
  const all = new Set<string>(['']);
  for (const path of paths) {
    const parts = path === '.' ? [] : path.split('/');
    for (let depth = 1; depth <= parts.length; depth++) all.add(parts.slice(0, depth).join('/'));
  }
  return [...all].sort();
}
