/**
 * Where backups and archived WAL are kept, behind the few calls that a folder and an object store both have. Values
 * are read and written whole: the largest is one WAL segment. The data of a backup are a tree of files, which only a
 * folder can hold as it is: `FolderStore.path`.
 */

export interface StoredValue {
  /** `a/b/c`, as it was put. */
  key: string;
  /** Bytes. */
  size: number;
  /** ms since 1970. */
  modifiedMs: number;
}

export interface Store {
  /** For messages. */
  readonly where: string;
  /** Whole and durable when it resolves; before, the old value or none is there. */
  put(key: string, value: Buffer): Promise<void>;
  /** Null where there is none. */
  get(key: string): Promise<Buffer | null>;
  /** The values directly below `folder`, by key; none where it does not exist. */
  list(folder: string): Promise<StoredValue[]>;
  stat(key: string): Promise<StoredValue | null>;
  /** Does nothing where there is none. */
  delete(key: string): Promise<void>;
}
