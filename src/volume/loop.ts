/** Loop devices and mounts, by way of losetup(8), mount(8) and /proc/self/mountinfo (proc(5)). */
import { readFile } from 'node:fs/promises';
import { PgorbitError } from '../errors.ts';
import { complaint, run, type CommandResult } from './command.ts';

export interface Mount {
  mountPoint: string;
  fs: string;
  /** The device, as it was given to mount. */
  source: string;
}

/** Reads /proc/self/mountinfo: fields are separated by blanks, optional ones end with `-`, odd bytes are octal. */
export function parseMountInfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [head, tail] = line.split(' - ');
    const mountPoint = head?.split(' ')[4];
    const [fs, source] = tail?.split(' ') ?? [];
    if (mountPoint === undefined || fs === undefined || source === undefined) return [];
    return [{ mountPoint: unescapeOctal(mountPoint), fs, source: unescapeOctal(source) }];
  });
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

export async function listMounts(): Promise<Mount[]> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'));
}

/** The loop devices that the image is attached to: normally none or one. */
export async function loopsOf(imageFile: string): Promise<string[]> {
  const { stdout } = must(await run('losetup', ['-n', '-O', 'NAME', '-j', imageFile]), `could not ask for the loop devices of ${imageFile}`);
  return stdout.split('\n').map((line) => line.trim()).filter(Boolean);
}

/** The image's loop device; attached now where it was not. */
export async function attachLoop(imageFile: string): Promise<string> {
  const [existing] = await loopsOf(imageFile);
  if (existing !== undefined) return existing;
  const { stdout } = must(await run('losetup', ['--nooverlap', '-f', '--show', imageFile]), `could not attach ${imageFile} to a loop device`);
  return stdout.trim();
}

export async function detachLoop(device: string): Promise<void> {
  const detached = await run('losetup', ['-d', device]);
  if (detached.code === 0 || /No such device/i.test(detached.stderr)) return;
  must(detached, `could not detach ${device}`);
}

/**
 * What the mount options are for. nodiscard: a discard on a loop device punches holes into the image file, and an
 * image that has become thin gives I/O errors instead of "no space" once its host disk is full (btrfs discards by
 * itself since Linux 6.2). noatime: an access time is a write, and a write ends sharing. user_subvol_rm_allowed: an
 * agent that is not root deletes its members' subvolumes. allocsize: XFS otherwise
 * preallocates up to a growing file's size behind its end, which every replica then occupies by itself.
 */
const MOUNT_OPTIONS = {
  btrfs: 'noatime,nodiscard,nosuid,nodev,user_subvol_rm_allowed',
  xfs: 'noatime,nodiscard,nosuid,nodev,allocsize=1m',
} as const;

export async function mountDevice(device: string, mountPoint: string, fs: 'btrfs' | 'xfs'): Promise<void> {
  must(await run('mount', ['-t', fs, '-o', MOUNT_OPTIONS[fs], device, mountPoint]), `could not mount ${device} on ${mountPoint}`);
}

/** @throws `volume-failed` while anything on it is in use. */
export async function unmount(mountPoint: string): Promise<void> {
  const result = await run('umount', [mountPoint]);
  if (result.code === 0) return;
  throw new PgorbitError('volume-failed', `could not unmount ${mountPoint}: ${complaint(result)}`, {
    hint: 'stop the members on it (`pgorbit down`) and leave it with every shell',
  });
}

/** The result itself when the program succeeded. @throws `volume-failed` otherwise. */
export function must(result: CommandResult, what: string): CommandResult {
  if (result.code === 0) return result;
  throw new PgorbitError('volume-failed', `${what}: ${complaint(result)}`, {
    hint: '`pgorbit doctor` tells what this host lacks for volumes in image files',
  });
}
