/** Which file system an image volume gets, and whether it can be made here. Pure. */
import type { ErrorReport } from '../../errors.ts';
import type { DriverName } from '../../group/model.ts';
import type { ImageFs } from '../../volume/image-record.ts';
import type { VolumeFacts } from '../../volume/facts.ts';

/** btrfs, whose snapshots take no time at any size; XFS where the driver is `reflink` or btrfs cannot be had. */
export function chooseImageFs(driver: DriverName | 'auto', facts: VolumeFacts): ImageFs {
  if (driver === 'reflink') return 'xfs';
  if (driver === 'btrfs') return 'btrfs';
  return facts.btrfsProgs && facts.kernelBtrfs ? 'btrfs' : facts.xfsProgs && facts.kernelXfs ? 'xfs' : 'btrfs';
}

/** Why an image volume of this kind can't be made here, or null. */
export function imageObstacle(fs: ImageFs, facts: VolumeFacts): ErrorReport | null {
  if (!facts.root) return { code: 'permission', message: 'a volume in an image file needs root: loop devices and mounts', hint: 'run it with sudo, or give the volume a folder on XFS or btrfs' };
  if (!facts.loop) return { code: 'volume-failed', message: 'this machine has no loop devices (/dev/loop-control is missing)', hint: 'modprobe loop; in a container, start it with --privileged' };
  const programs = fs === 'btrfs' ? facts.btrfsProgs : facts.xfsProgs;
  const kernel = fs === 'btrfs' ? facts.kernelBtrfs : facts.kernelXfs;
  if (!programs) return { code: 'volume-failed', message: `the programs of ${fs} are missing`, hint: `apt-get install ${fs === 'btrfs' ? 'btrfs-progs' : 'xfsprogs'}` };
  if (!kernel) return { code: 'volume-failed', message: `this kernel does not know ${fs}`, hint: fs === 'btrfs' ? 'use XFS: --fs xfs, or `driver: reflink`' : 'use btrfs: --fs btrfs, or `driver: btrfs`' };
  return null;
}

const MB = 1024 ** 2;
const DEMO_SIZES = [2048 * MB, 1024 * MB, 768 * MB];

/** The size of the demo's volume: 2 GB, less where the disk has little room (a quarter of it at most); null: too little. */
export function demoSize(free: number): number | null {
  return DEMO_SIZES.find((size) => size <= free / 4) ?? null;
}
