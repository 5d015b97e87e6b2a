/** A backup becomes a data directory that a server can be started on, as of the target. */
import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { verifyBackup } from '../../engine/basebackup/verify.ts';
import type { Engine } from '../../engine/find.ts';
import type { OsUser } from '../../engine/osuser.ts';
import type { SqlSession } from '../../engine/sql.ts';
import { PgorbitError } from '../../errors.ts';
import { combineBackups } from '../incremental/combine.ts';
import type { Generation } from '../incremental/lineage.ts';
import type { BackupInfo } from '../info.ts';
import type { SystemFolder } from '../repository.ts';
import { parseLsn } from '../../wal/lsn.ts';
import { type StoredProblem, type Verdict, verifyStored } from '../verify.ts';
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
 * Reads all of a backup, and refuses one that is damaged or does not reach the target: `backup-damaged` that names the
 * file, `target-unreachable`.
 */
export async function checkRestorable(system: SystemFolder, info: BackupInfo, target: Target, options: { signal: AbortSignal; onProgress: (done: number, total: number) => void }): Promise<Verdict> {
  const verdict = await verifyStored(system, info.label, options);
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

/** @returns the timeline that the restored system begins. */
export async function restoreData(options: RestoreOptions): Promise<{ timeline: number }> {
  const { system, verdict, dir, user, signal, onProgress } = options;
  const { lineage, chain } = verdict;
  if (chain === null) throw new PgorbitError('internal', 'a restore without a look at the WAL');
  const dataDir = join(dir, 'data');
  // An incremental backup has about as much as the largest on the way to it.
  const bytes = Math.max(...lineage.map(({ info }) => info.bytes));
  await makeData(system, lineage, { to: dataDir, owner: user, signal, onProgress: (done) => onProgress({ step: 'copy', done, total: Math.max(done, bytes) }) });
  const [broken] = await verifyBackup(dataDir, { signal });
  if (broken !== undefined) throw new PgorbitError('operation-failed', `the copy in ${dataDir} differs from the backup: ${broken.message}`, { hint: 'check the disk and the memory of this host' });
  return recover({
    engine: options.engine, dataDir, exchangeDir: join(dir, 'restore'), logFile: options.logFile, user, system, chain, target: options.target, superuser: options.superuser, settle: options.settle, signal,
    onProgress: (done, total) => onProgress({ step: 'replay', done, total }),
  });
}

/** Out of a store that is no folder, all of a lineage is fetched first, beside the data. */
async function makeData(system: SystemFolder, lineage: readonly Generation[], target: Destination): Promise<void> {
  const { store } = system;
  const keyOf = ({ info }: Generation): string => system.dataKey(info.label);
  const last = lineage.at(-1)!;
  const local = store.local(keyOf(last));
  if (local !== null) return lineage.length > 1 ? combineBackups({ ...target, lineage }) : copyData({ ...target, from: local });
  const fetch = (one: Generation, to: string): Promise<void> => fetchData({ ...target, to, store, from: keyOf(one), folders: one.info.folders ?? [] });
  if (lineage.length === 1) return fetch(last, target.to);
  const aside = `${target.to}.fetched`;
  try {
    await mkdir(aside, { mode: 0o700 });
    const fetched: Generation[] = [];
    for (const one of lineage) {
      const dir = join(aside, one.info.label);
      await fetch(one, dir);
      fetched.push({ ...one, dir });
    }
    await combineBackups({ ...target, lineage: fetched });
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}
