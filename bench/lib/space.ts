/** Bytes of a volume. */
import { statfs } from 'node:fs/promises';
import type { VolumeStatus } from '../../src/agent/api.ts';
import type { TestCluster } from '../../test/support/cluster.ts';
import { mustRun, runProgram } from '../../test/support/program.ts';

/**
 * What the file system has given to anyone, after everything that waits in memory was written out and, on btrfs, after
 * what deleted subvolumes held was given back, which takes a cleaner in the background a while.
 */
export async function occupied(volume: string): Promise<number> {
  await mustRun('sync', ['-f', volume]);
  // They fail at once where this is no btrfs, and where it is not installed. The first wakes the cleaner, which otherwise
  // looks only twice a minute (BTRFS_IOC_SYNC in fs/btrfs/ioctl.c); the second waits for it.
  await runProgram('btrfs', ['filesystem', 'sync', volume]);
  await runProgram('btrfs', ['subvolume', 'sync', volume], { timeoutMs: 120_000 });
  const { blocks, bfree, bsize } = await statfs(volume);
  return (blocks - bfree) * bsize;
}

/** Free bytes of the disk that holds the system's temporary folder, for someone who is not root. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** `pgorbit volume du` of the only volume. */
export async function usage(cluster: TestCluster): Promise<VolumeStatus> {
  const { volumes } = await cluster.must<{ volumes: VolumeStatus[] }>('volume', 'du');
  const [volume] = volumes;
  if (volume === undefined) throw new Error('the cluster has no volume');
  return volume;
}

export const exclusiveOf = (volume: VolumeStatus, member: string): number => volume.members.find((one) => one.name === member)?.exclusive ?? 0;
export const logicalOf = (volume: VolumeStatus, member: string): number => volume.members.find((one) => one.name === member)?.logical ?? 0;
