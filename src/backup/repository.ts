/**
 * A backup repository: one folder for any number of database systems.
 *
 *   <repository>/pgorbit-backups.json          says whose folder this is
 *     <cluster>-<group>-<system identifier>/
 *       lock, archive.lock                     lock.ts
 *       backups/<label>/backup.json            info.ts; written last
 *       backups/<label>/data/                  PGDATA as it was copied, which pg_ctl alone starts
 *       wal/                                   archived segments, the newest as .partial, and .history files
 *       sums/<segment>                         CRC-32C of each archived segment
 *
 * What is half made has a name with a dot before it, and counts for nothing.
 */
import { readdir, rename, rm } from 'node:fs/promises';
import { syncFolder } from '../durable.ts';
import { errnoOf, PgorbitError } from '../errors.ts';
import { FolderStore, explainStore } from './folder-store.ts';
import { type BackupInfo, INFO_FILE, decodeInfo, isLabel } from './info.ts';
import { lockFile } from './lock.ts';

const MARK = 'pgorbit-backups.json';

/** Opens the repository in `dir`; with `make`, an empty or missing folder becomes one. Throws `not-ours`, `no-such-backup`. */
export async function openRepository(dir: string, options: { make?: boolean } = {}): Promise<FolderStore> {
  const store = new FolderStore(dir);
  const mark = await store.get(MARK);
  if (mark !== null) {
    const { format } = parse(mark) as { format?: unknown };
    if (format === 1) return store;
    throw new PgorbitError('not-ours', `${store.path(MARK)} is of a repository that this pgorbit can't read`, { hint: 'use the pgorbit that wrote it, or name another folder' });
  }
  const names = await readdir(dir).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw explainStore(error, dir);
  });
  if (names.some((name) => name !== 'lost+found')) throw new PgorbitError('not-ours', `${dir} is no backup repository, and it is not empty (${names.slice(0, 3).join(', ')})`, { hint: 'name an empty folder, or one that does not exist' });
  if (options.make !== true) throw new PgorbitError('no-such-backup', `${dir} holds no backups`, { hint: '`pgorbit backup --to FOLDER` takes the first' });
  await store.makeFolder('.');
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
  readonly store: FolderStore;
  /** `<cluster>-<group>-<system identifier>` */
  readonly name: string;

  constructor(store: FolderStore, name: string) {
    this.store = store;
    this.name = name;
  }

  static nameOf(cluster: string, group: string, systemIdentifier: string): string {
    return `${cluster}-${group}-${systemIdentifier}`;
  }

  /** Those that there are, by name. */
  static async all(store: FolderStore): Promise<SystemFolder[]> {
    return (await store.folders('.')).filter((name) => /-\d{1,20}$/.test(name)).map((name) => new SystemFolder(store, name));
  }

  key(...parts: string[]): string {
    return [this.name, ...parts].join('/');
  }

  path(...parts: string[]): string {
    return this.store.path(this.key(...parts));
  }

  /** PGDATA of a backup. */
  dataDir(label: string): string {
    return this.path('backups', label, 'data');
  }

  /** Labels of whole backups, oldest first. */
  async labels(): Promise<string[]> {
    return (await this.store.folders(this.key('backups'))).filter(isLabel);
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
  async lock(what: string): Promise<() => Promise<void>> {
    await this.store.makeFolder(this.key('backups'));
    const release = await lockFile(this.path('lock'), what);
    try {
      for (const name of await this.store.folders(this.key('backups'))) {
        if (name.startsWith('.')) await rm(this.path('backups', name), { recursive: true, force: true });
      }
    } catch (error) {
      await release();
      throw explainStore(error, this.path('backups'));
    }
    return release;
  }

  /** A backup goes: under its name it is whole until it is gone. */
  async remove(label: string): Promise<void> {
    const gone = this.path('backups', `.${label}.gone`);
    try {
      await rename(this.path('backups', label), gone);
      await syncFolder(this.path('backups'));
      await rm(gone, { recursive: true, force: true });
    } catch (error) {
      throw explainStore(error, this.path('backups', label));
    }
  }
}

/** Those of one cluster. The name of a folder begins with it, but so may another cluster's: what lies in it knows. */
export async function systemsOf(all: readonly SystemFolder[], cluster: string): Promise<SystemFolder[]> {
  const found: SystemFolder[] = [];
  for (const system of all) {
    if (!system.name.startsWith(`${cluster}-`)) continue;
    const newest = (await system.labels()).at(-1);
    const info = newest === undefined ? null : await system.info(newest).catch(() => null);
    if (info === null || info.cluster === cluster) found.push(system);
  }
  return found;
}

/** The one system that is meant: the named cluster's, or the only one. Throws `no-such-backup` or `usage`. */
export async function chooseSystem(store: FolderStore, cluster: string | undefined): Promise<SystemFolder> {
  const all = await SystemFolder.all(store);
  const found = cluster === undefined ? all : await systemsOf(all, cluster);
  const [only, ...more] = found;
  if (only === undefined) throw new PgorbitError('no-such-backup', `${store.where} holds no backup${cluster === undefined ? '' : ` of cluster ${cluster}`}`, { hint: all.length === 0 ? '`pgorbit backup --to FOLDER` takes the first' : `it has those of ${all.map((system) => system.name).join(', ')}` });
  if (more.length > 0) throw new PgorbitError('usage', `${store.where} holds backups of ${found.length} database systems, and none was named`, { hint: `--cluster says which: ${found.map((system) => system.name).join(', ')}` });
  return only;
}
