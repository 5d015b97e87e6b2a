/**
 * The shared volume: members of a group keep their data on one copy-on-write file system, and a replica is attached
 * by clone.
 *
 *   <volume>/<cluster>/<group>/<member>/        a member's folder (btrfs: a subvolume)
 *     data/                                     PGDATA
 *     pgorbit.json                              the marker (marker.ts)
 *     lock.N, fenced                            lock.ts, fencemark.ts
 *
 * Drivers differ only in how a folder is made, cloned and deleted; everything else is common.
 */
import { realpath } from 'node:fs/promises';
import { relative, resolve, sep } from 'node:path';
import { errnoOf, PgorbitError } from '../errors.ts';
import type { DriverName } from '../group/model.ts';
import { btrfsDriver } from './driver-btrfs.ts';
import { filesDriver } from './driver-files.ts';
import type { CloneOptions, CloneResult, Driver } from './driver.ts';
import type { Marker } from './marker.ts';
import { buildFolder, moveFolder, removeFolder } from './member-folder.ts';
import { chooseDriver } from './probe.ts';
import { measureUsage, type UsageMember, type UsageMemory, type VolumeUsage } from './usage.ts';
import { shareWal, type ShareWalOptions, type ShareWalResult } from './wal-share.ts';

export type { CloneOptions, CloneResult } from './driver.ts';
export type { UsageMember, VolumeUsage } from './usage.ts';
export type { ShareWalOptions, ShareWalResult } from './wal-share.ts';

export interface Volume {
  /** Absolute, links resolved. */
  readonly path: string;
  readonly driver: DriverName;
  /** Why this driver, in one plain sentence. */
  readonly why: string;
  /** A clone is one instant of the source (a btrfs snapshot): no pg_backup_start/stop is needed around it. */
  readonly atomicClone: boolean;
  /**
   * Makes an empty member's folder, with its marker where one is given (then the folder never exists without it).
   * @throws `unsafe` where the folder exists already.
   */
  createMember(dir: string, marker?: Marker): Promise<void>;
  /**
   * Clones a member's folder. The target appears at the end, whole and durable, or not at all; a leftover of an
   * earlier attempt is removed first. Without `atomicClone` the caller has pg_backup_start behind it and
   * pg_backup_stop before it, and writes backup_label into the copy. The marker, the lock and the fence mark are not
   * taken over.
   * @throws `unsafe` where the target exists; `setting-refused` where the source has tablespaces or WAL outside its
   * folder; `volume-full`; the signal's reason when it aborts.
   */
  cloneMember(sourceDir: string, targetDir: string, options?: CloneOptions): Promise<CloneResult>;
  /** Deletes a member's folder that pgorbit made; nothing happens where there is none. @throws `not-ours` */
  removeMember(dir: string): Promise<void>;
  /** Renames a member's folder within the volume, durably. @throws `unsafe` where `to` exists. */
  moveMember(from: string, to: string): Promise<void>;
  /** Who occupies how much. Takes seconds on large volumes the first time; unchanged files are remembered. */
  usage(members: readonly UsageMember[]): Promise<VolumeUsage>;
  /** Shares closed WAL segments that both folders have; nothing on a volume that cannot clone. */
  shareWal(sourceWalDir: string, targetWalDir: string, options: ShareWalOptions): Promise<ShareWalResult>;
}

/**
 * Opens the volume at `path`, an existing folder, with the best driver that works there, or with the wanted one.
 * @throws `no-clone-support` where the wanted driver cannot work there, `volume-failed` where the folder is missing,
 * `permission` where it cannot be written.
 */
export async function openVolume(path: string, wanted: DriverName | 'auto'): Promise<Volume> {
  const root = await realpath(path).catch((error: unknown) => {
    if (errnoOf(error) !== 'ENOENT') throw error;
    throw new PgorbitError('volume-failed', `the volume's folder ${path} does not exist`, {
      hint: 'make the folder, mount what belongs there, or make a volume with `pgorbit volume create`',
      cause: error,
    });
  });
  const { driver: name, why } = await chooseDriver(root, wanted);
  const driver = name === 'btrfs' ? btrfsDriver : filesDriver(name);
  return makeVolume(root, driver, why);
}

function makeVolume(path: string, driver: Driver, why: string): Volume {
  const memory: UsageMemory = new Map();
  const inside = (dir: string): Promise<string> => insideOf(path, dir);
  return {
    path,
    driver: driver.name,
    why,
    atomicClone: driver.atomicClone,
    createMember: async (dir, marker) => {
      await buildFolder(driver, await inside(dir), marker, async (temporary) => driver.makeFolder(temporary));
    },
    cloneMember: async (sourceDir, targetDir, options = {}) => {
      const source = await inside(sourceDir);
      const target = await inside(targetDir);
      return buildFolder(driver, target, options.marker, (temporary) => driver.cloneFolder(source, temporary, options));
    },
    removeMember: async (dir) => removeFolder(driver, await inside(dir)),
    moveMember: async (from, to) => moveFolder(await inside(from), await inside(to)),
    usage: (members) => measureUsage(path, driver.name, members, memory),
    shareWal: async (sourceWalDir, targetWalDir, options) => {
      if (driver.name === 'copy') return { segments: 0, freed: 0 };
      return shareWal(await inside(sourceWalDir), await inside(targetWalDir), options);
    },
  };
}

/**
 * `dir` by way of the volume's own path: clones and snapshots work only within one mount.
 * @throws `unsafe` where it lies elsewhere.
 */
async function insideOf(root: string, dir: string): Promise<string> {
  const wanted = await resolveExisting(dir);
  const path = relative(root, wanted);
  if (path !== '' && path !== '..' && !path.startsWith(`..${sep}`)) return resolve(root, path);
  throw new PgorbitError('unsafe', `${dir} is not inside the volume ${root}`);
}

/** The real path of the part that exists, and the rest as it is. */
async function resolveExisting(path: string): Promise<string> {
  const absolute = resolve(path);
  const real = await realpath(absolute).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (real !== null) return real;
  const parent = resolve(absolute, '..');
  return resolve(await resolveExisting(parent), relative(parent, absolute));
}
