/** Is a volume's file system sound? What can be seen while it is mounted, and all of it while it is not. */
import { PgorbitError } from '../errors.ts';
import { complaint, run, which } from './command.ts';
import { fileSystemOf } from './filesystem.ts';
import { isMounted } from './image.ts';
import { requireImageRecord } from './image-record.ts';

export interface CheckReport {
  online: boolean;
  /** Nothing wrong was found. */
  sound: boolean;
  /** What was looked at, what was found, and what could not be looked at; one sentence each. */
  lines: string[];
}

/** Checks an image of pgorbit's: online while it is mounted, else in full. Reads only; takes minutes when large. */
export async function checkImage(imageFile: string): Promise<CheckReport> {
  const record = await requireImageRecord(imageFile);
  if (await isMounted(record)) return checkMounted(record.mountPoint);
  const [program, args] = record.fs === 'btrfs' ? ['btrfs', ['check', '--readonly', record.image]] as const : ['xfs_repair', ['-n', '-f', record.image]] as const;
  const result = await run(program, args);
  if (result.code === 0) return { online: false, sound: true, lines: [`${program} found nothing wrong`] };
  return { online: false, sound: false, lines: [`${program} found: ${complaint(result)}`] };
}

/** Checks the mounted file system that `path` lies on, as far as that goes. @throws `volume-failed` */
export async function checkMounted(path: string): Promise<CheckReport> {
  const fs = await fileSystemOf(path);
  if (fs === 'btrfs') return checkBtrfs(path);
  if (fs === 'xfs') return checkXfs(path);
  return { online: true, sound: true, lines: [`${fs} cannot be checked while it is mounted`] };
}

async function checkBtrfs(path: string): Promise<CheckReport> {
  const stats = await run('btrfs', ['device', 'stats', path]);
  if (stats.code !== 0) throw new PgorbitError('volume-failed', `could not read the error counts of ${path}: ${complaint(stats)}`);
  const counts = nonZeroStats(stats.stdout);
  const lines = counts.length === 0 ? ['no device errors counted'] : counts.map((line) => `device error counted: ${line}`);
  // -r: reads and verifies every checksum, repairs nothing.
  const scrub = await run('btrfs', ['scrub', 'start', '-B', '-r', path]);
  const errors = /Error summary:\s*(.*)/.exec(scrub.stdout)?.[1]?.trim();
  if (errors === undefined) return { online: true, sound: counts.length === 0, lines: [...lines, `checksums were not verified: ${complaint(scrub)}`] };
  lines.push(errors === 'no errors found' ? 'every checksum verified' : `scrub found: ${errors}`);
  return { online: true, sound: counts.length === 0 && errors === 'no errors found', lines };
}

/** Lines of `btrfs device stats` (`[/dev/loop0].write_io_errs    0`) that count something. */
export function nonZeroStats(text: string): string[] {
  return text.split('\n').map((line) => line.trim().replace(/\s+/, ' ')).filter((line) => /\s[1-9]\d*$/.test(line));
}

async function checkXfs(path: string): Promise<CheckReport> {
  const onlyOffline = 'an XFS volume is checked in full only while it is unmounted (then this command runs xfs_repair -n)';
  if ((await which('xfs_scrub')) === null) return { online: true, sound: true, lines: [`not checked: ${onlyOffline}`] };
  const result = await run('xfs_scrub', ['-n', path]);
  if (result.code === 0) return { online: true, sound: true, lines: ['xfs_scrub found nothing wrong'] };
  // xfs_scrub(8): 1 means that errors remain; 4 and 8 are trouble of the program or the kernel, not of the volume.
  if ((result.code & 1) !== 0) return { online: true, sound: false, lines: [`xfs_scrub found: ${complaint(result)}`] };
  const why = /not available/.test(result.stdout + result.stderr) ? 'this kernel has no online check of XFS' : complaint(result);
  return { online: true, sound: true, lines: [`not checked: ${onlyOffline}; ${why}`] };
}
