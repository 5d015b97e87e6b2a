/**
 * The data of a backup in a store that is no folder: one value a file. The names of files are bytes; those that a key
 * should not have are written as `%` and two hexadecimal digits.
 */
import { MANIFEST_FILE } from '../engine/basebackup/manifest.ts';
import type { BackupFiles } from '../engine/basebackup/verify.ts';
import { type Store, missing } from './store.ts';

/** @param path one char a byte (Latin-1). */
export function keyOf(path: string): string {
  return path.replaceAll(/[^\w./-]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

export function pathOf(key: string): string {
  return key.replaceAll(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

export class StoredFiles implements BackupFiles {
  readonly atOnce: number;
  readonly #store: Store;
  readonly #folder: string;

  /** @param folder where the files lie. */
  constructor(store: Store, folder: string) {
    this.#store = store;
    this.#folder = folder;
    this.atOnce = store.atOnce;
  }

  async manifest(): Promise<Buffer> {
    const key = `${this.#folder}/${MANIFEST_FILE}`;
    const found = await this.#store.get(key);
    if (found === null) throw missing(this.#store.path(key));
    return found;
  }

  async list(skip: (path: string) => boolean): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (const { key, size } of await this.#store.listAll(this.#folder)) {
      const path = pathOf(key.slice(this.#folder.length + 1));
      if (!skip(path)) found.set(path, size);
    }
    return found;
  }

  read(path: string, signal?: AbortSignal): AsyncIterable<Buffer> {
    return this.#store.read(`${this.#folder}/${keyOf(path)}`, signal);
  }
}
