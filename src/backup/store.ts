/**
 * Where backups and archived WAL are kept, behind the few calls that a folder and an object store both have. A value is
 * named by a key, `a/b/c`; `.` is the folder of all. Values that are put are whole and durable when the call resolves;
 * before, the old value or none is there. All calls throw PgorbitError for what a person can mend.
 */
import type { BackupTarget } from '../engine/basebackup/target.ts';
import type { OsUser } from '../engine/osuser.ts';

export interface StoredValue {
  /** `a/b/c`, as it was put. */
  key: string;
  /** Bytes. */
  size: number;
  /** ms since 1970. */
  modifiedMs: number;
}

/** One at a time, over all machines that share the store. */
export interface Held {
  /** Aborts with PgorbitError `locked` when it was lost: whoever holds it must write nothing more. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

export interface Store {
  /** For messages, and what names it among others. */
  readonly where: string;
  /** So many values may be read or written at a time with profit. */
  readonly atOnce: number;
  /** How messages name a value. */
  path(key: string): string;
  /** The folder itself, where the store is one. */
  local(key: string): string | null;

  put(key: string, value: Buffer): Promise<void>;
  /** Puts only where there is none; false where there is one, which stays as it is. */
  create(key: string, value: Buffer): Promise<boolean>;
  /** Null where there is none. */
  get(key: string): Promise<Buffer | null>;
  /** In pieces. Throws a system error ENOENT where there is none. */
  read(key: string, signal?: AbortSignal): AsyncIterable<Buffer>;
  stat(key: string): Promise<StoredValue | null>;
  /** Does nothing where there is none. */
  delete(key: string): Promise<void>;

  /** The values directly below `folder`, by key; none where it does not exist. */
  list(folder: string): Promise<StoredValue[]>;
  /** All values below `folder`, however deep. */
  listAll(folder: string): Promise<StoredValue[]>;
  /** The names of the folders directly below `folder` that are whole, sorted: neither being made nor being removed. */
  folders(folder: string): Promise<string[]>;

  /** Begins to make the folder `key`, which nobody sees before `publish`. Resolves to where its values go meanwhile. */
  begin(key: string): Promise<string>;
  publish(key: string): Promise<void>;
  /** A folder goes: nobody sees it any more from the first moment. Also one that was begun. */
  remove(key: string): Promise<void>;
  /** Removes what a killed process left half made or half removed directly below `folder`. */
  clear(folder: string): Promise<void>;
  /** Takes the files of a base backup to below `folder`. */
  target(folder: string, owner: OsUser | null, signal: AbortSignal): BackupTarget;

  /** Throws PgorbitError `locked` while another holds it. `what` is for whom it keeps out. */
  lock(key: string, what: string): Promise<Held>;
}

/** A value that has to be there. */
export function missing(where: string): Error {
  return Object.assign(new Error(`ENOENT: ${where} is missing`), { code: 'ENOENT' });
}
