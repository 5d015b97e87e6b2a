/**
 * A volume in an image file on a loop device, for hosts without a file system that clones. The image is allocated in
 * full: one that is thin on a full disk gives I/O errors, from which PostgreSQL does not recover, where a volume that
 * is full gives a clean "no space". Needs root.
 *
 * The record beside the image is written before the image, so that whatever a crash leaves is known to be ours: the
 * next createImage undoes a half-made one, destroyImage removes it.
 */
import { randomUUID } from 'node:crypto';
import { chmod, chown, mkdir, readdir, rm, rmdir, stat, statfs, truncate } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { errnoOf, PgorbitError } from '../errors.ts';
import { complaint, run, which } from './command.ts';
import { exists, syncFolder } from '../durable.ts';
import { readImageRecord, recordFile, requireImageRecord, writeImageRecord, type ImageFs, type ImageRecord } from './image-record.ts';
import { attachLoop, detachLoop, listMounts, loopsOf, mountDevice, must, unmount } from './loop.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** What mkfs itself demands, rounded up: btrfs with metadata twice, XFS since xfsprogs 5.19. */
export const SMALLEST_IMAGE: Record<ImageFs, number> = { btrfs: 128 * MIB, xfs: 300 * MIB };

export interface CreateImageOptions {
  imageFile: string;
  mountPoint: string;
  /** Bytes. */
  size: number;
  fs: ImageFs;
  /** Who may write to the volume's root; default root. */
  owner?: { uid: number; gid: number } | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Makes the image and mounts it. Made before with the same file system and mount point: only mounted.
 * @throws `permission` without root; `volume-failed` where a program is missing or fails; `volume-full` before
 * anything is changed, where the host's disk lacks the room; `not-ours`, `unsafe` where something is in the way.
 */
export async function createImage(options: CreateImageOptions): Promise<ImageRecord> {
  const image = resolve(options.imageFile);
  const mountPoint = resolve(options.mountPoint);
  const { size, fs } = options;
  await requireTools(fs);
  if (size < SMALLEST_IMAGE[fs]) {
    throw new PgorbitError('usage', `${size} bytes are too few for ${fs}`, { hint: `at least ${SMALLEST_IMAGE[fs] / MIB} MB` });
  }
  const before = await readImageRecord(image);
  const there = await exists(image);
  if (before?.state === 'ready' && there) return reuse(before, mountPoint, fs);
  if (before) await discardImage(before);
  else if (there) {
    throw new PgorbitError('not-ours', `${image} exists, and pgorbit did not make it`, { hint: 'name another image file' });
  }
  await mkdir(dirname(image), { recursive: true });
  await requireRoom(dirname(image), size);
  const madeMountPoint = await requireMountPoint(mountPoint);
  const record: ImageRecord = {
    format: 1, image, mountPoint, fs, size, uuid: randomUUID(), state: 'creating', madeMountPoint, madeAt: new Date().toISOString(),
  };
  await writeImageRecord(record);
  try {
    await allocate(image, size, options.signal);
    await chmod(image, 0o600);
    await makeFileSystem(record, options.signal);
    await attachAndMount(record);
    if (options.owner) await chown(mountPoint, options.owner.uid, options.owner.gid);
    const ready: ImageRecord = { ...record, state: 'ready' };
    await writeImageRecord(ready);
    return ready;
  } catch (error) {
    await discardImage(record);
    throw error;
  }
}

/**
 * Mounts an image again, after a reboot for example. Nothing happens where it is mounted.
 * @throws `not-ours` where pgorbit did not make it, or what is in it is another file system than was made.
 */
export async function mountImage(imageFile: string): Promise<ImageRecord> {
  const record = await requireImageRecord(imageFile);
  await requireTools(record.fs);
  if (record.state !== 'ready') {
    throw new PgorbitError('volume-failed', `${record.image} was never finished`, { hint: '`pgorbit volume create` makes it anew' });
  }
  if (!(await exists(record.image))) {
    throw new PgorbitError('volume-failed', `the image ${record.image} is gone`, { hint: `bring it back, or remove ${recordFile(record.image)}` });
  }
  await attachAndMount(record);
  return record;
}

/** Unmounts and detaches; the image stays. Nothing happens where it is not mounted. */
export async function unmountImage(imageFile: string): Promise<void> {
  await release(await requireImageRecord(imageFile));
}

/** Unmounts, and deletes the image, its record, and the mount point if that came with it. */
export async function destroyImage(imageFile: string): Promise<void> {
  await requireRoot();
  await discardImage(await requireImageRecord(imageFile));
}

/**
 * Makes image and file system larger, while members run.
 * @throws `usage` where it would shrink, `volume-full` where the host's disk lacks the room: nothing is changed then.
 */
export async function growImage(imageFile: string, size: number): Promise<ImageRecord> {
  const record = await mountImage(imageFile);
  const now = (await stat(record.image)).size;
  if (size < now) throw new PgorbitError('usage', `${record.image} has ${now} bytes already; it cannot shrink to ${size}`);
  await requireRoom(dirname(record.image), size - now);
  try {
    await allocate(record.image, size);
  } catch (error) {
    await truncate(record.image, now);
    throw error;
  }
  must(await run('losetup', ['-c', await attachLoop(record.image)]), `could not tell the loop device of ${record.image} its new size`);
  must(
    record.fs === 'btrfs' ? await run('btrfs', ['filesystem', 'resize', 'max', record.mountPoint]) : await run('xfs_growfs', [record.mountPoint]),
    `could not grow the file system on ${record.mountPoint}`,
  );
  const grown = { ...record, size };
  await writeImageRecord(grown);
  return grown;
}

/** Is the image mounted at its place? */
export async function isMounted(record: ImageRecord): Promise<boolean> {
  const loops = await loopsOf(record.image);
  return (await listMounts()).some(({ mountPoint, source }) => mountPoint === record.mountPoint && loops.includes(source));
}

async function reuse(record: ImageRecord, mountPoint: string, fs: ImageFs): Promise<ImageRecord> {
  if (record.mountPoint === mountPoint && record.fs === fs) return mountImage(record.image);
  throw new PgorbitError('unsafe', `${record.image} exists already: ${record.fs}, for ${record.mountPoint}`, {
    hint: 'name another image file, or destroy this one first',
  });
}

async function attachAndMount(record: ImageRecord): Promise<void> {
  if (await isMounted(record)) return;
  const { stdout } = await run('blkid', ['-p', '-s', 'UUID', '-o', 'value', record.image]);
  if (stdout.trim() !== record.uuid) {
    throw new PgorbitError('not-ours', `${record.image} holds another file system (${stdout.trim() || 'none'}) than pgorbit made in it (${record.uuid})`, {
      hint: 'put the right image back',
    });
  }
  await requireMountPoint(record.mountPoint);
  await mkdir(record.mountPoint, { recursive: true });
  const fresh = (await loopsOf(record.image)).length === 0;
  const device = await attachLoop(record.image);
  try {
    await mountDevice(device, record.mountPoint, record.fs);
  } catch (error) {
    if (fresh) await detachLoop(device);
    throw error;
  }
}

/** Unmounts what is mounted from the image's loop devices, wherever, and detaches them. */
async function release(record: ImageRecord): Promise<void> {
  await requireRoot();
  const loops = await loopsOf(record.image);
  for (const { mountPoint, source } of (await listMounts()).toReversed()) {
    if (loops.includes(source)) await unmount(mountPoint);
  }
  for (const device of loops) await detachLoop(device);
}

async function discardImage(record: ImageRecord): Promise<void> {
  if (await exists(record.image)) await release(record);
  await rm(record.image, { force: true });
  if (record.madeMountPoint) {
    await rmdir(record.mountPoint).catch((error: unknown) => {
      if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(errnoOf(error) ?? '')) throw error;
    });
  }
  await rm(recordFile(record.image), { force: true });
  await syncFolder(dirname(record.image));
}

/** True where the mount point does not exist yet. @throws `unsafe` where it is not an empty folder of its own. */
async function requireMountPoint(mountPoint: string): Promise<boolean> {
  if ((await listMounts()).some((mount) => mount.mountPoint === mountPoint)) {
    throw new PgorbitError('unsafe', `something else is mounted on ${mountPoint}`, { hint: 'name another mount point, or unmount it' });
  }
  try {
    if ((await readdir(mountPoint)).length === 0) return false;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true;
    if (errnoOf(error) !== 'ENOTDIR') throw error;
  }
  throw new PgorbitError('unsafe', `${mountPoint} is not an empty folder; what is in it would be hidden`, { hint: 'name another mount point' });
}

/** Room that is left on the host's disk: 5 % of it, at least 512 MiB, at most 5 GiB. */
export function hostMargin(total: number): number {
  return Math.min(5 * GIB, Math.max(512 * MIB, total / 20));
}

const gib = (bytes: number): string => (Math.max(0, bytes) / GIB).toFixed(1);

/** @throws `volume-full` where an image of so many bytes would leave the host's disk too little. */
export async function requireRoom(folder: string, bytes: number): Promise<void> {
  const { blocks, bavail, bsize } = await statfs(folder);
  const room = bavail * bsize - hostMargin(blocks * bsize);
  if (bytes <= room) return;
  throw new PgorbitError('volume-full', `${folder} has room for an image of ${gib(room)} GB, not for ${gib(bytes)} GB`, {
    hint: 'choose a smaller size or another disk; some room is always left for the host',
  });
}

async function allocate(image: string, size: number, signal?: AbortSignal): Promise<void> {
  const result = await run('fallocate', ['-l', String(size), image], { signal });
  if (result.code === 0) return;
  const code = /no space|quota/i.test(result.stderr) ? 'volume-full' : 'volume-failed';
  throw new PgorbitError(code, `could not allocate ${size} bytes for ${image}: ${complaint(result)}`, {
    hint: code === 'volume-full' ? 'choose a smaller size or another disk' : 'the disk must support fallocate(2): ext4, XFS, btrfs',
  });
}

async function makeFileSystem({ fs, uuid, image }: ImageRecord, signal: AbortSignal | undefined): Promise<void> {
  // -K: no discard, which would undo the allocation.
  const args = fs === 'btrfs' ? ['-q', '-K', '-U', uuid, image] : ['-q', '-K', '-m', `crc=1,reflink=1,uuid=${uuid}`, image];
  must(await run(`mkfs.${fs}`, args, { signal }), `could not make ${fs} in ${image}`);
}

async function requireRoot(): Promise<void> {
  if (process.geteuid?.() === 0) return;
  throw new PgorbitError('permission', 'a volume in an image file needs root: loop devices and mounts', {
    hint: 'run it with sudo, or give the volume a folder on XFS or btrfs',
  });
}

async function requireTools(fs: ImageFs): Promise<void> {
  await requireRoot();
  if ((await which(`mkfs.${fs}`)) === null) {
    const name = fs === 'btrfs' ? 'btrfs-progs' : 'xfsprogs';
    throw new PgorbitError('volume-failed', `mkfs.${fs} is missing`, { hint: `apt install ${name}` });
  }
  if ((await which('losetup')) === null || (await which('mount')) === null) {
    throw new PgorbitError('volume-failed', 'losetup or mount is missing', { hint: 'apt install mount util-linux' });
  }
}
