/** Names and traits of file systems by the magic number of statfs(2) (include/uapi/linux/magic.h). */
import { statfs } from 'node:fs/promises';

export const BTRFS_MAGIC = 0x9123683e;
export const XFS_MAGIC = 0x58465342;

const NAMES = new Map<number, string>([
  [BTRFS_MAGIC, 'btrfs'],
  [XFS_MAGIC, 'xfs'],
  [0xef53, 'ext4'],
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlayfs'],
  [0x2fc12fc1, 'zfs'],
  [0xf2f52010, 'f2fs'],
  [0xca451a4e, 'bcachefs'],
  [0x6969, 'nfs'],
  [0x7461636f, 'ocfs2'],
  [0x01161970, 'gfs2'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x65735546, 'fuse'],
  [0x01021997, '9p'],
  [0x00c36400, 'ceph'],
]);

/** File systems that certainly have one machine at a time. */
const ONE_MACHINE = new Set(['btrfs', 'xfs', 'ext4', 'tmpfs', 'zfs', 'f2fs', 'bcachefs']);

export function fileSystemName(magic: number): string {
  return NAMES.get(magic) ?? `file system 0x${magic.toString(16)}`;
}

/** The name of the file system that `path` lies on (ext2 and ext3 call themselves ext4 here). */
export async function fileSystemOf(path: string): Promise<string> {
  return fileSystemName(Number((await statfs(path)).type));
}

export async function isOneMachineOnly(path: string): Promise<boolean> {
  return ONE_MACHINE.has(await fileSystemOf(path));
}
