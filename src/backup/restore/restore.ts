/** A backup becomes a data directory that a server can be started on, as of the target. */
import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { verifyBackup } from '../../engine/basebackup/verify.ts';
import type { Engine } from '../../engine/find.ts';
import type { OsUser } from '../../engine/osuser.ts';
import type { SqlSession } from '../../engine/sql.ts';
import { PgorbitError } from '../../errors.ts';
import { combineBackups } from '../incremental/combine.ts';
import { FolderStore } from '../folder-store.ts';
import { type Generation, checkLineage, generationAt } from '../incremental/lineage.ts';
import type { BackupInfo } from '../info.ts';
import type { SystemFolder } from '../repository.ts';
import { parseLsn } from '../../wal/lsn.ts';
import { type StoredProblem, type Verdict, checkData, outlineStored, verifyStored } from '../verify.ts';
import { type Destination, copyData } from './copy.ts';
import { fetchData } from './fetch.ts';
import { recover } from './recover.ts';
import { type Target, refuseTarget } from './target.ts';

export interface RestoreOptions {
  system: SystemFolder;
  verdict: Verdict;
  target: Target;
  engine: Engine;
  user: OsUser | null;
  /** The member's folder, which exists; `data` in it is made. */
  dir: string;
  logFile: string;
  superuser: string;
  settle: (connect: (database: string) => SqlSession) => Promise<void>;
  onProgress: (progress: RestoreProgress) => void;
  signal: AbortSignal;
}

/** Bytes copied, or segments replayed. */
export type RestoreProgress = { step: 'copy' | 'replay'; done: number; total: number };

/**
 * Refuses a backup that is damaged or does not reach the target: `backup-damaged` that names the file, `target-unreachable`.
 * Reads all of it where it lies in a folder. Out of another store it is read once, when restoreData fetches it.
 */
export async function checkRestorable(system: SystemFolder, info: BackupInfo, target: Target, options: { signal: AbortSignal; onProgress: (done: number, total: number) => void }): Promise<Verdict> {
  const inFolder = system.store.local('.') !== null;
  const verdict = inFolder ? await verifyStored(system, info.label, options) : await outlineStored(system, info.label);
  const damage = verdict.problems.find((problem) => problem.kind === 'backup');
  if (damage !== undefined) throw damaged(info, damage.message);
  if (verdict.chain === null) throw new PgorbitError('internal', 'a backup without problems has no WAL');
  refuseTarget(info, verdict.chain, target);
  const [needed] = damagedBefore(verdict, target);
  if (needed !== undefined) throw damaged(info, needed.message);
  return verdict;
}

/** Damaged segments that certainly have to be replayed. What a time or a name needs only replay can tell, which stops at damage. */
function damagedBefore({ problems, chain }: Verdict, target: Target): StoredProblem[] {
  if (target.kind === 'time' || target.kind === 'name') return [];
  const starts = new Map(chain?.segments.map(({ name, start }) => [name, start]));
  return problems.filter(({ path }) => {
    const start = starts.get(basename(path));
    return target.kind === 'latest' || (start !== undefined && start < parseLsn(target.lsn));
  });
}

function damaged({ label }: BackupInfo, message: string): PgorbitError {
  return new PgorbitError('backup-damaged', `backup ${label} can't be restored: ${message}`, { hint: 'another backup may be sound: `pgorbit backup ls`, `pgorbit backup verify`' });
}

/** @returns the timeline that the restored system begins. Throws `backup-damaged` that names the file, and what hinders it here. */
export async function restoreData(options: RestoreOptions): Promise<{ timeline: number }> {
  const { system, verdict, dir, user, signal, onProgress } = options;
  const { lineage, chain } = verdict;
  if (chain === null) throw new PgorbitError('internal', 'a restore without a look at the WAL');
  const dataDir = join(dir, 'data');
  const sizes = lineage.map(({ info }) => info.bytes);
  // An incremental backup has about as much as the largest on the way to it. What is fetched to be combined is copied, too.
  const aside = lineage.length > 1 && system.store.local('.') === null ? sizes : [];
  const bytes = [...aside, Math.max(...sizes)].reduce((sum, size) => sum + size, 0);
  await makeData(system, lineage, { to: dataDir, owner: user, signal, onProgress: (done) => onProgress({ step: 'copy', done, total: Math.max(done, bytes) }) });
  return recover({
    engine: options.engine, dataDir, exchangeDir: join(dir, 'restore'), logFile: options.logFile, user, system, chain, target: options.target, superuser: options.superuser, settle: options.settle, signal,
    onProgress: (done, total) => onProgress({ step: 'replay', done, total }),
  });
}

/** Out of a store that is no folder, all of a lineage is fetched first, beside the data. */
async function makeData(system: SystemFolder, lineage: readonly Generation[], target: Destination): Promise<void> {
  const { to } = target;
  const only = lineage.length === 1 ? lineage[0] : undefined;
  const local = system.store.local(system.dataKey(lineage.at(-1)!.info.label));
  if (only !== undefined && local === null) return fetchSound(system, only, only.info, target);
  if (only !== undefined) await copyData({ ...target, from: local! });
  else if (local !== null) await combineBackups({ ...target, lineage });
  else await combineFetched(system, lineage, target);
  const [broken] = await verifyBackup(to, { signal: target.signal });
  if (broken !== undefined) throw new PgorbitError('operation-failed', `the copy in ${to} differs from the backup: ${broken.message}`, { hint: 'check the disk and the memory of this host' });
}

async function combineFetched(system: SystemFolder, lineage: readonly Generation[], target: Destination): Promise<void> {
  const aside = `${target.to}.fetched`;
  try {
    await mkdir(aside, { mode: 0o700 });
    const store = new FolderStore(aside);
    const fetched: Generation[] = [];
    let before = 0;
    const onProgress = (done: number): void => target.onProgress(before + done);
    for (const one of lineage) {
      await fetchSound(system, one, lineage.at(-1)!.info, { ...target, to: join(aside, one.info.label), onProgress });
      before += one.info.bytes;
      fetched.push(generationAt(store, one.info.label, one.info));
    }
    // What does not fit is told by its name in the store.
    await checkLineage(lineage.map((one, i) => ({ ...one, get: fetched[i]!.get })));
    await combineBackups({ ...target, lineage: fetched, onProgress });
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

/** Each object is read once, and it is the copy on the disk that is looked at. */
async function fetchSound(system: SystemFolder, one: Generation, wanted: BackupInfo, target: Destination): Promise<void> {
  await fetchData({ ...target, store: system.store, from: system.dataKey(one.info.label), folders: one.info.folders ?? [] });
  const [problem] = await checkData(system, one, { signal: target.signal }, target.to);
  if (problem !== undefined) throw damaged(wanted, problem.message);
}
