/** What this host can do for volumes: facts for `pgorbit doctor`. */
import { access, readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { run, which } from './command.ts';

export interface VolumeFacts {
  root: boolean;
  /** Loop devices can be made. */
  loop: boolean;
  btrfsProgs: boolean;
  xfsProgs: boolean;
  /** The running kernel has the file system, built in or as a module that can be loaded. */
  kernelBtrfs: boolean;
  kernelXfs: boolean;
}

/** Looks, and changes nothing. */
export async function volumeFacts(): Promise<VolumeFacts> {
  const [loop, mkfsBtrfs, btrfs, mkfsXfs, kernelBtrfs, kernelXfs] = await Promise.all([
    there('/dev/loop-control'), which('mkfs.btrfs'), which('btrfs'), which('mkfs.xfs'),
    kernelHas('btrfs'), kernelHas('xfs'),
  ]);
  return {
    root: process.geteuid?.() === 0,
    loop,
    btrfsProgs: mkfsBtrfs !== null && btrfs !== null,
    xfsProgs: mkfsXfs !== null,
    kernelBtrfs,
    kernelXfs,
  };
}

function there(file: string): Promise<boolean> {
  return access(file).then(() => true, () => false);
}

async function kernelHas(fs: 'btrfs' | 'xfs'): Promise<boolean> {
  const known = await readFile('/proc/filesystems', 'utf8').catch(() => '');
  if (listsFileSystem(known, fs)) return true;
  const builtin = await readFile(`/lib/modules/${release()}/modules.builtin`, 'utf8').catch(() => '');
  if (builtin.includes(`/${fs}.ko`)) return true;
  if ((await which('modprobe')) === null) return false;
  return (await run('modprobe', ['-n', '-q', fs])).code === 0;
}

/** Does the text of /proc/filesystems name `fs`? */
export function listsFileSystem(text: string, fs: string): boolean {
  return text.split('\n').some((line) => line.split('\t').at(-1)?.trim() === fs);
}
