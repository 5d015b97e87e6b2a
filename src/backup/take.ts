/** Takes a backup of a running server into a repository: a full one, or what changed since an earlier one. */
import { createHash } from 'node:crypto';
import { type BaseBackupProgress, baseBackup } from '../engine/basebackup/basebackup.ts';
import { MANIFEST_FILE } from '../engine/basebackup/manifest.ts';
import type { OsUser } from '../engine/osuser.ts';
import { PgorbitError } from '../errors.ts';
import type { TimelineHistory } from '../wal/history.ts';
import { ReplicationClient } from '../wire/client.ts';
import { explainStore } from './folder-store.ts';
import { generationAt } from './incremental/lineage.ts';
import { askForIncremental, checkMade, chooseParent, explainRefusal } from './incremental/parent.ts';
import { type BackupInfo, INFO_FILE, encodeInfo, labelOf } from './info.ts';
import { nameOf } from './keys.ts';
import { SystemFolder } from './repository.ts';
import { type Identity, identifySource } from './source.ts';
import type { Store } from './store.ts';
import { sumOfPieces } from './sums.ts';

export interface TakeOptions {
  store: Store;
  cluster: string;
  group: string;
  /** The user needs the attribute REPLICATION; the member may be a replica. */
  source: { member: string; host: string; port: number; user: string; password: string };
  /** Whose the copied files will be: PostgreSQL's user, when pgorbit is root. */
  owner: OsUser | null;
  checkpoint: 'fast' | 'spread';
  /** An incremental backup, on the one of this label; null there: on the newest that is whole. Null: a full one. */
  incremental: { from: string | null } | null;
  /** Bytes a second; null: as fast as it goes. */
  rate: number | null;
  /** Of the manifest; kept with the backup. */
  settings: Record<string, string>;
  /** The clock of the server: what a target time of a restore is compared with. */
  serverNow: () => Promise<Date>;
  /** Called with the backup on which an incremental one builds, once it is chosen. */
  onParent?: (parent: BackupInfo) => void;
  onProgress: (progress: BaseBackupProgress) => void;
  signal: AbortSignal;
}

const CONNECT_MS = 10_000;

/** What starts a copied folder as somebody's standby: a backup is a server of its own. pg_verifybackup leaves them out too. */
const SIGNALS = ['standby.signal', 'recovery.signal'];

/**
 * A backup is in the repository, whole and durable, when this resolves; whatever fails before leaves nothing that counts
 * as one. Throws PgorbitError `needs-full-backup`, `no-such-backup` and `backup-damaged` (the one to build on), `locked`, `volume-full`, `host-unreachable`, `permission`, `setting-refused`,
 * `operation-failed`, or what the signal was aborted with.
 */
export async function takeBackup(options: TakeOptions): Promise<{ system: SystemFolder; info: BackupInfo }> {
  const { store, cluster, group, source } = options;
  const { identity, history } = await identify(options);
  const system = new SystemFolder(store, SystemFolder.nameOf(cluster, group, identity.systemIdentifier));
  const held = await system.lock(`a backup of ${cluster}`);
  const signal = AbortSignal.any([options.signal, held.lost]);
  try {
    const parent = options.incremental === null || history === null ? null : await chooseParent(system, history, options.incremental.from);
    const on = parent?.lineage.at(-1)?.info;
    if (on !== undefined) options.onParent?.(on);
    const kind = on === undefined ? 'full' : 'incremental';
    const startedAt = await options.serverNow();
    const label = await freeLabel(system, startedAt, kind);
    const key = system.key('backups', label);
    try {
      const fresh = await store.begin(key);
      const data = `${fresh}/data`;
      const target = store.target(data, options.owner, signal);
      const result = await baseBackup({
        source: { ...source, applicationName: 'pgorbit backup' }, dir: store.path(data), target, owner: options.owner, checkpoint: options.checkpoint, rate: options.rate, wal: true, label: `pgorbit ${label}`, onProgress: options.onProgress, signal,
        ...(parent === null ? {} : { parentManifest: parent.manifest }),
      }).catch((error: unknown) => {
        throw on === undefined ? error : explainRefusal(error, source.member, on.label);
      });
      for (const name of SIGNALS) await store.delete(`${data}/${name}`);
      const info: BackupInfo = {
        format: 1, label, kind, ...(on === undefined ? {} : { parent: { label: on.label, manifestSha256: on.manifestSha256 } }), cluster, group, systemIdentifier: identity.systemIdentifier, source: source.member, version: identity.version, major: identity.major,
        segmentSize: identity.segmentSize, timeline: result.timeline, startLsn: result.startLsn, stopLsn: result.endLsn,
        startedAt: startedAt.toISOString(), stoppedAt: (await options.serverNow()).toISOString(), bytes: result.bytes,
        manifestSha256: createHash('sha256').update((await store.get(`${data}/${MANIFEST_FILE}`)) ?? '').digest('hex'),
        wal: await walOf(store, `${data}/pg_wal`, signal), settings: options.settings, ...(target.folders === undefined ? {} : { folders: target.folders }),
      };
      if (parent !== null) await checkMade([...parent.lineage, generationAt(store, data, info)]);
      signal.throwIfAborted();
      await store.put(`${fresh}/${INFO_FILE}`, encodeInfo(info));
      signal.throwIfAborted();
      await store.publish(key);
      return { system, info };
    } catch (error) {
      // Where that fails too, the next one clears it.
      await store.remove(key).catch(() => {});
      throw explainBreak(explainStore(error, store.path(key)));
    }
  } finally {
    await held.release();
  }
}

/** A lost connection says only that it is lost. */
function explainBreak(error: unknown): unknown {
  if (!(error instanceof PgorbitError) || error.code !== 'host-unreachable') return error;
  return new PgorbitError('host-unreachable', `the backup broke off: ${error.message}`, { hint: 'nothing of it was kept; run it again once the server answers (`pgorbit status`)', cause: error });
}

/** Its past too, where an incremental backup is wanted. */
async function identify({ source, incremental, signal }: TakeOptions): Promise<{ identity: Identity; history: TimelineHistory | null }> {
  signal.throwIfAborted();
  const client = await ReplicationClient.connect({ ...source, applicationName: 'pgorbit backup', timeoutMs: CONNECT_MS }, signal);
  try {
    const identity = await identifySource(client);
    return { identity, history: incremental === null ? null : await askForIncremental(client, source.member, identity) };
  } finally {
    client.destroy();
  }
}

async function freeLabel(system: SystemFolder, at: Date, kind: BackupInfo['kind']): Promise<string> {
  const taken = await system.labels();
  const label = labelOf(at, kind);
  for (let number = 1; number < 100; number++) {
    const wanted = number === 1 ? label : `${label}-${number}`;
    if (!taken.includes(wanted)) return wanted;
  }
  throw new PgorbitError('operation-failed', `${label} and its like are all taken in ${system.path('backups')}`);
}

async function walOf(store: Store, folder: string, signal: AbortSignal): Promise<BackupInfo['wal']> {
  const found: BackupInfo['wal'] = [];
  for (const { key } of await store.list(folder)) found.push({ name: nameOf(key), ...(await sumOfPieces(store.read(key, signal))) });
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}
