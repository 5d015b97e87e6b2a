/**
 * A backup repository: one folder, or one prefix of an S3 bucket, for any number of database systems.
 *
 *   <repository>/pgorbit-backups.json          says whose folder this is
 *     <cluster>-<group>-<system identifier>/
 *       lock, archive.lock                     lock.ts
 *       backups/<label>/backup.json            info.ts; written last
 *       backups/<label>/data/                  PGDATA as it was copied, which pg_ctl alone starts
 *       wal/                                   archived segments, the newest as .partial, and .history files
 *       sums/<segment>                         CRC-32C of each archived segment
 *
 * A backup that is half made is no folder of the store yet (`Store.begin`), and counts for nothing.
 */
import { PgorbitError } from '../errors.ts';
import { FolderStore } from './folder-store.ts';
import { type BackupInfo, INFO_FILE, decodeInfo, isLabel } from './info.ts';
import { nameOf } from './keys.ts';
import type { Held, Store } from './store.ts';

const MARK = 'pgorbit-backups.json';

/**
 * Opens the repository in a store, or in the folder of that name; with `make`, an empty or missing one becomes one. Throws
 * `not-ours`, `no-such-backup`.
 */
export async function openRepository(where: string, options?: { make?: boolean }): Promise<FolderStore>;
export async function openRepository(where: Store, options?: { make?: boolean }): Promise<Store>;
export async function openRepository(where: Store | string, options: { make?: boolean } = {}): Promise<Store> {
  const store = typeof where === 'string' ? new FolderStore(where) : where;
  const mark = await store.get(MARK);
  if (mark !== null) {
    const { format } = parse(mark) as { format?: unknown };
    if (format === 1) return store;
    throw new PgorbitError('not-ours', `${store.path(MARK)} is of a repository that this pgorbit can't read`, { hint: 'use the pgorbit that wrote it, or name another folder' });
  }
  const names = [...(await store.list('.')).map(({ key }) => key), ...(await store.folders('.'))];
  if (names.some((name) => name !== 'lost+found')) throw new PgorbitError('not-ours', `${store.where} is no backup repository, and it is not empty (${names.slice(0, 3).join(', ')})`, { hint: 'name an empty folder, or one that does not exist' });
  if (options.make !== true) throw new PgorbitError('no-such-backup', `${store.where} holds no backups`, { hint: '`pgorbit backup --to REPOSITORY` takes the first' });
  await store.put(MARK, Buffer.from(`${JSON.stringify({ format: 1, what: 'backups made by pgorbit' })}\n`));
  return store;
}

function parse(text: Buffer): object {
  try {
    return (JSON.parse(text.toString('utf8')) as object | null) ?? {};
  } catch {
    return {};
  }
}

/** The part of a repository that belongs to one database system. */
export class SystemFolder {
  readonly store: Store;
  /** `<cluster>-<group>-<system identifier>` */
  readonly name: string;

  constructor(store: Store, name: string) {
    this.store = store;
    this.name = name;
  }

  static nameOf(cluster: string, group: string, systemIdentifier: string): string {
    return `${cluster}-${group}-${systemIdentifier}`;
  }

  /** Those that there are, by name. */
  static async all(store: Store): Promise<SystemFolder[]> {
    return (await store.folders('.')).filter((name) => /-\d{1,20}$/.test(name)).map((name) => new SystemFolder(store, name));
  }

  key(...parts: string[]): string {
    return [this.name, ...parts].join('/');
  }

  path(...parts: string[]): string {
    return this.store.path(this.key(...parts));
  }

  /** Of a backup's PGDATA. */
  dataKey(label: string): string {
    return this.key('backups', label, 'data');
  }

  /** PGDATA of a backup, for messages; a folder where the store is one. */
  dataDir(label: string): string {
    return this.store.path(this.dataKey(label));
  }

  /** Labels of whole backups, oldest first. */
  async labels(): Promise<string[]> {
    return (await this.store.folders(this.key('backups'))).filter(isLabel);
  }

  /** Names of the files in the archive of WAL. */
  async archived(): Promise<string[]> {
    return (await this.store.list(this.key('wal'))).map(({ key }) => nameOf(key));
  }

  /** Throws `no-such-backup`, or `backup-damaged` that names the file. */
  async info(label: string): Promise<BackupInfo> {
    const key = this.key('backups', label, INFO_FILE);
    const text = await this.store.get(key);
    if (text !== null) return decodeInfo(text, this.store.path(key));
    if (!(await this.labels()).includes(label)) throw new PgorbitError('no-such-backup', `there is no backup ${label} in ${this.path()}`, { hint: '`pgorbit backup ls` shows what there is' });
    throw new PgorbitError('backup-damaged', `${this.store.path(key)} is missing`, { hint: 'use another backup: `pgorbit backup ls`' });
  }

  /** One that makes or removes backups at a time. Clears what a killed one left half made. */
  async lock(what: string): Promise<Held> {
    const held = await this.store.lock(this.key('lock'), what);
    try {
      await this.store.clear(this.key('backups'));
    } catch (error) {
      await held.release();
      throw error;
    }
    return held;
  }

  /** A backup goes: under its name it is whole until it is gone. */
  remove(label: string): Promise<void> {
    return this.store.remove(this.key('backups', label));
  }
}

/** Whose backups are meant; undefined: anybody's. */
export interface Whose {
  /** Its name, or a system's in full, which tells two of one name apart. */
  cluster: string | undefined;
  group: string | undefined;
}

/** Those that are meant. The name of a folder begins with its cluster's, but so may another cluster's: what lies in it knows. */
export async function systemsOf(all: readonly SystemFolder[], { cluster, group }: Whose): Promise<SystemFolder[]> {
  const exact = all.filter(({ name }) => name === cluster);
  if (exact.length > 0) return exact;
  const found: SystemFolder[] = [];
  for (const system of all) {
    if (cluster !== undefined && !system.name.startsWith(`${cluster}-`)) continue;
    if (group !== undefined && !system.name.replace(/-\d+$/, '').endsWith(`-${group}`)) continue;
    const newest = cluster === undefined && group === undefined ? undefined : (await system.labels()).at(-1);
    const info = newest === undefined ? null : await system.info(newest).catch(() => null);
    if (info === null || ((cluster ?? info.cluster) === info.cluster && (group ?? info.group) === info.group)) found.push(system);
  }
  return found;
}

/** The one system that is meant, which may be the only one. Throws `no-such-backup` or `usage`. */
export async function chooseSystem(store: Store, whose: Whose): Promise<SystemFolder> {
  const all = await SystemFolder.all(store);
  const found = await systemsOf(all, whose);
  const [only, ...more] = found;
  const of = `${whose.group === undefined ? '' : ` of group ${whose.group}`}${whose.cluster === undefined ? '' : ` of cluster ${whose.cluster}`}`;
  if (only === undefined) throw new PgorbitError('no-such-backup', `${store.where} holds no backup${of}`, { hint: all.length === 0 ? '`pgorbit backup --to REPOSITORY` takes the first' : `it has those of ${all.map((system) => system.name).join(', ')}` });
  if (more.length > 0) throw new PgorbitError('usage', `${store.where} holds backups${of} of ${found.length} database systems, and none was named`, { hint: `--cluster, and --group, say which; --cluster also takes the whole name: ${found.map((system) => system.name).join(', ')}` });
  return only;
}
