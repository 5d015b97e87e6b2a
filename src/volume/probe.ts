/** Finds out by trying which driver works in a folder: documentation of file systems does not settle it. */
import { constants, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, PgorbitError } from '../errors.ts';
import type { DriverName } from '../group/model.ts';
import { complaint, run, which } from './command.ts';
import { deleteSubvolume } from './driver-btrfs.ts';
import { fileSystemOf } from './filesystem.ts';

export interface Choice {
  driver: DriverName;
  /** One plain sentence. */
  why: string;
}

/** What was found in the folder; null means that the driver works, a text why it does not. */
export interface ProbeFacts {
  fileSystem: string;
  btrfs: string | null;
  reflink: string | null;
}

const CREATE_HINT = 'make a volume with clones: `pgorbit volume create PATH --size 20GB` (as root), put it on XFS or btrfs, or take `driver: copy`, which needs room for a full copy a replica';

/** The choice, from facts alone. @throws `no-clone-support` where `wanted` cannot work. */
export function decideDriver(path: string, wanted: DriverName | 'auto', facts: ProbeFacts): Choice {
  if (wanted === 'copy') return { driver: 'copy', why: 'the manifest asks for plain copies' };
  if (wanted !== 'auto') {
    const obstacle = wanted === 'btrfs' ? facts.btrfs : facts.reflink;
    if (obstacle === null) return { driver: wanted, why: `the manifest asks for it, and it works on this ${facts.fileSystem}` };
    throw new PgorbitError('no-clone-support', `driver ${wanted} cannot work in ${path}, which is ${facts.fileSystem}: ${obstacle}`, {
      hint: wanted === 'btrfs' && facts.reflink === null ? '`driver: reflink` works there' : CREATE_HINT,
    });
  }
  if (facts.btrfs === null) return { driver: 'btrfs', why: 'the folder is on btrfs and snapshots work there' };
  if (facts.reflink === null) {
    const why = facts.fileSystem === 'btrfs' ? `, and snapshots do not: ${facts.btrfs}` : '';
    return { driver: 'reflink', why: `files can be cloned on this ${facts.fileSystem}${why}` };
  }
  return { driver: 'copy', why: `${facts.fileSystem} cannot clone files, so every replica is a full copy` };
}

/** @throws `no-clone-support`, `permission` (the folder cannot be written), `volume-full` */
export async function chooseDriver(path: string, wanted: DriverName | 'auto'): Promise<Choice> {
  const fileSystem = await fileSystemOf(path);
  const folder = await mkdtemp(join(path, '.pgorbit-probe-')).catch((error: unknown) => {
    throw unwritable(path, error);
  });
  try {
    const reflink = wanted === 'copy' ? null : await probeReflink(folder);
    const btrfs = wanted === 'copy' ? null : await probeBtrfs(folder, fileSystem);
    return decideDriver(path, wanted, { fileSystem, btrfs, reflink });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function probeReflink(folder: string): Promise<string | null> {
  const from = join(folder, 'from');
  const to = join(folder, 'to');
  const bytes = Buffer.alloc(65_536, 'pgorbit');
  try {
    await writeFile(from, bytes);
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE);
  } catch (error) {
    const code = errnoOf(error) ?? '';
    if (code === 'ENOSPC' || code === 'EDQUOT') throw unwritable(folder, error);
    return 'a file cannot be cloned there';
  }
  return (await readFile(to)).equals(bytes) ? null : 'a cloned file came out different';
}

async function probeBtrfs(folder: string, fileSystem: string): Promise<string | null> {
  if (fileSystem !== 'btrfs') return 'it is not btrfs';
  if ((await which('btrfs')) === null) return 'the btrfs program is missing (apt install btrfs-progs)';
  const from = join(folder, 'subvolume');
  const to = join(folder, 'snapshot');
  try {
    const made = await run('btrfs', ['subvolume', 'create', from]);
    if (made.code !== 0) return `no subvolume can be made there (${complaint(made)})`;
    await mkdir(join(from, 'inside'));
    const snapped = await run('btrfs', ['subvolume', 'snapshot', from, to]);
    if (snapped.code !== 0) return `no snapshot can be made there (${complaint(snapped)})`;
    return null;
  } finally {
    await deleteSubvolume(to);
    await deleteSubvolume(from);
  }
}

function unwritable(path: string, error: unknown): unknown {
  const code = errnoOf(error);
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new PgorbitError('permission', `the volume's folder ${path} cannot be written (${code})`, {
      hint: 'give it to the user that runs the agent (`chown`), or name another path',
      cause: error,
    });
  }
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new PgorbitError('volume-full', `the volume ${path} is full`, { hint: '`pgorbit volume grow` or `reclaim`', cause: error });
  }
  return error;
}
