/** A backup and those that it builds on: which they are, and whether they fit together. */
import { createHash } from 'node:crypto';
import { type Manifest, MANIFEST_FILE, parseManifest } from '../../engine/basebackup/manifest.ts';
import { type ControlData, parseControlFile } from '../../engine/control.ts';
import { PgorbitError } from '../../errors.ts';
import { historyFileName, isAncestor, parseHistory } from '../../wal/history.ts';
import { formatLsn, parseLsn } from '../../wal/lsn.ts';
import type { BackupInfo } from '../info.ts';
import type { SystemFolder } from '../repository.ts';
import type { Store } from '../store.ts';
import { BLOCK_BYTES, incrementalOf, standsFor } from './header.ts';
import { type BackupLabel, LABEL_FILE, parseLabel } from './label.ts';

/** One backup of a lineage. */
export interface Generation {
  info: BackupInfo;
  /** Its data directory. */
  dir: string;
  /** A small file of it; null where there is none. */
  get: (path: string) => Promise<Buffer | null>;
}

/** The backup whose data directory the store has at `key`. */
export function generationAt(store: Pick<Store, 'path' | 'get'>, key: string, info: BackupInfo): Generation {
  return { info, dir: store.path(key), get: (path) => store.get(`${key}/${path}`) };
}

/** What was read of it. */
export interface Descent extends Generation {
  manifest: Manifest;
  label: BackupLabel;
  labelText: string;
  control: ControlData;
}

const CONTROL_FILE = 'global/pg_control';
const HINT = 'use another backup: `pgorbit backup ls`';
const damaged = (message: string, cause?: unknown): PgorbitError => new PgorbitError('backup-damaged', message, { hint: HINT, cause });

/**
 * The full backup first, `info`'s own last; a full one is alone. Reads backup.json of each. Throws PgorbitError
 * `backup-damaged` that names the file which is missing, damaged, or not the one that was built on.
 */
export async function lineageOf(system: SystemFolder, info: BackupInfo): Promise<Generation[]> {
  const at = (one: BackupInfo): Generation => generationAt(system.store, system.dataKey(one.label), one);
  const found: Generation[] = [at(info)];
  let child = info;
  while (child.parent !== undefined) {
    const { label, manifestSha256 } = child.parent;
    const parent = await system.info(label).catch((error: unknown) => {
      throw error instanceof PgorbitError && error.code === 'no-such-backup' ? damaged(`${system.path('backups', label)} is missing, and ${child.label} builds on it`, error) : error;
    });
    if (parent.manifestSha256 !== manifestSha256) throw damaged(`${system.path('backups', label)} is not the backup of that name on which ${child.label} builds`);
    if (found.some((one) => one.info.label === label)) throw damaged(`${system.path('backups', label)} builds on itself`);
    found.unshift(at(parent));
    child = parent;
  }
  return found;
}

/**
 * Do they make one data directory? By what is in the files, as pg_combinebackup asks, and by the timelines' history,
 * which it does not. Throws PgorbitError `backup-damaged` that names the file.
 */
export async function checkLineage(lineage: readonly Generation[]): Promise<Descent[]> {
  const all: Descent[] = [];
  for (const generation of lineage) {
    const one = await readOne(generation);
    const parent = all.at(-1);
    checkSystem(one, all[0] ?? one);
    checkLabel(one, parent);
    if (parent !== undefined) {
      await checkHistory(one, parent);
      checkFiles(one, parent);
    }
    all.push(one);
  }
  return all;
}

async function readOne(generation: Generation): Promise<Descent> {
  const { dir, info } = generation;
  const file = `${dir}/${MANIFEST_FILE}`;
  const bytes = await reading(generation, MANIFEST_FILE);
  if (createHash('sha256').update(bytes).digest('hex') !== info.manifestSha256) throw damaged(`${file} is not the one that was written with the backup`);
  const labelFile = `${dir}/${LABEL_FILE}`;
  const labelText = (await reading(generation, LABEL_FILE)).toString('latin1');
  try {
    const control = parseControlFile(await reading(generation, CONTROL_FILE), `${dir}/${CONTROL_FILE}`);
    return { ...generation, manifest: parseManifest(bytes), label: parseLabel(labelText, labelFile), labelText, control };
  } catch (error) {
    if (error instanceof PgorbitError && (error.code === 'operation-failed' || error.code === 'postgres-failed')) throw damaged(`${dir}: ${error.message}`, error);
    throw error;
  }
}

function checkSystem({ dir, info, manifest, control }: Descent, first: Descent): void {
  const file = `${dir}/${CONTROL_FILE}`;
  const expected = first.info.systemIdentifier;
  if (control.systemIdentifier !== expected) throw damaged(`${file} is of the database system ${control.systemIdentifier}, and the backups are of ${expected}`);
  if (manifest.systemIdentifier !== null && manifest.systemIdentifier !== expected) throw damaged(`${dir}/${MANIFEST_FILE} is of the database system ${manifest.systemIdentifier}, and the backups are of ${expected}`);
  if (info.systemIdentifier !== expected) throw damaged(`${info.label} is of the database system ${info.systemIdentifier}, and ${first.info.label} of ${expected}`);
  if (control.blockSize !== BLOCK_BYTES) throw damaged(`${file} speaks of blocks of ${control.blockSize} bytes, and pgorbit knows ${BLOCK_BYTES} only`);
  // Blocks from before would fail their checksums, or have none that anybody looks at.
  if (control.dataChecksumVersion !== first.control.dataChecksumVersion) throw damaged(`${file} says that data checksums were turned on or off since ${first.info.label}: no incremental backup can build on that one`);
}

/** Each begins where its label says, and is built on a backup that began where the one before it did. */
function checkLabel({ dir, info, label }: Descent, parent: Descent | undefined): void {
  const file = `${dir}/${LABEL_FILE}`;
  const { start, from } = label;
  if (formatLsn(start.lsn) !== info.startLsn) throw damaged(`${file} begins at ${formatLsn(start.lsn)}, and backup.json says ${info.startLsn}`);
  if (parent === undefined) {
    if (from !== null) throw damaged(`${file} is of an incremental backup, and nothing is known of the one that it builds on`);
    return;
  }
  if (from === null) throw damaged(`${file} is of a full backup, and backup.json says that it builds on ${parent.info.label}`);
  const before = parent.label.start;
  if (from.lsn === before.lsn && from.timeline === before.timeline) return;
  throw damaged(`${file} builds on a backup that began at ${formatLsn(from.lsn)} on timeline ${from.timeline}, and ${parent.info.label} began at ${formatLsn(before.lsn)} on timeline ${before.timeline}`);
}

/** The parent's end lies in the child's past: else it has changes that the child's server never saw, and does not undo. */
async function checkHistory(child: Descent, parent: Descent): Promise<void> {
  const end = { timeline: parent.info.timeline, lsn: parseLsn(parent.info.stopLsn) };
  const { dir, info, label } = child;
  const file = `pg_wal/${historyFileName(info.timeline)}`;
  const history = info.timeline === 1 ? { timeline: 1, parents: [] } : parseHistory(info.timeline, (await reading(child, file)).toString('utf8'), `${dir}/${file}`);
  if (isAncestor(history, end) && end.lsn <= label.start.lsn) return;
  throw damaged(`${dir}/${LABEL_FILE} begins at ${formatLsn(label.start.lsn)} on timeline ${label.start.timeline}, and ${parent.info.label}, on which it builds, ends at ${parent.info.stopLsn} on timeline ${parent.info.timeline}, which is not in its past`);
}

function checkFiles({ dir, manifest }: Descent, parent: Descent): void {
  for (const path of manifest.files.keys()) {
    const whole = standsFor(path);
    if (whole === null || parent.manifest.files.has(whole) || parent.manifest.files.has(incrementalOf(whole))) continue;
    throw damaged(`${dir}/${path} is a part of a file that ${parent.info.label} does not have`);
  }
}

/** Throws `backup-damaged` that names the file where it is missing. */
export async function reading({ dir, get }: Generation, path: string): Promise<Buffer> {
  const bytes = await get(path);
  if (bytes === null) throw damaged(`${dir}/${path} is missing`);
  return bytes;
}
