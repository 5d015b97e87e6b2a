/**
 * Lets PostgreSQL's user reach folders that lie below one it may not enter, such as /root or a 0700 mktemp folder,
 * without opening that folder to anyone: the part below it is bind-mounted at /run/pgorbit/<hash>/dir, behind a
 * folder that only that user may enter.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { PgorbitError, errnoOf } from '../errors.ts';
import type { OsUser } from './osuser.ts';

const run = promisify(execFile);
const RUN = '/run/pgorbit';

/**
 * Under flock(1), because several agents may want the same mount at once. `-ef` is true when both are the same file
 * by device and inode; a mount of a folder that was deleted and made anew is not, and is replaced.
 */
const MOUNT = `
top=\${2%/dir}
mkdir -p "$2" && chgrp "$3" "$top" && chmod 710 "$top" || exit 1
while ! [ "$1" -ef "$2" ] && grep -qF " $2 " /proc/self/mountinfo; do umount -l "$2" || exit 1; done
[ "$1" -ef "$2" ] || { mount --bind "$1" "$2" && mount --make-private "$2"; } || { rmdir "$2" "$top"; exit 1; }`;
const UNMOUNT = `! grep -qF " $1 " /proc/self/mountinfo || { umount "$1" && rmdir "$1" "\${1%/dir}"; }`;

/** May a process of `user` go through a folder with this owner and mode? Supplementary groups do not count. */
export function maySearch(folder: { uid: number; gid: number; mode: number }, user: OsUser): boolean {
  if (folder.uid === user.uid) return (folder.mode & 0o100) !== 0;
  if (folder.gid === user.gid) return (folder.mode & 0o010) !== 0;
  return (folder.mode & 0o001) !== 0;
}

/** Mount points in the text of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
export function mountPoints(mountinfo: string): string[] {
  const points: string[] = [];
  for (const line of mountinfo.split('\n')) {
    const point = line.split(' ')[4];
    if (point !== undefined) points.push(point.replaceAll(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))));
  }
  return points;
}

/** Every folder from / to `path` itself. */
function chain(path: string): string[] {
  const folders = [path];
  for (let folder = path; folder !== '/'; ) folders.unshift((folder = dirname(folder)));
  return folders;
}

/** Symbolic links resolved as far as the path exists. */
async function realpathOfWhatExists(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || path === '/') throw error;
    return join(await realpathOfWhatExists(dirname(path)), basename(path));
  }
}

/** What has to be mounted for `user` to reach `path`: null when nothing has. */
async function closedPart(path: string, user: OsUser): Promise<{ closed: string; source: string } | null> {
  const folders = chain(path);
  let closed: string | null = null;
  for (const folder of folders.slice(0, -1)) {
    const found = await stat(folder).catch(() => null);
    if (found === null) break;
    if (!maySearch(found, user)) closed = folder;
  }
  if (closed === null) return null;
  const below = folders[folders.indexOf(closed) + 1]!;
  // --bind does not bring along what is mounted further down, so start from the mount that holds the path.
  const points = new Set(mountPoints(await readFile('/proc/self/mountinfo', 'utf8')));
  const source = folders.findLast((folder) => folder.length > below.length && points.has(folder)) ?? below;
  return { closed, source };
}

const targetOf = (source: string, user: OsUser): string =>
  join(RUN, createHash('sha256').update(`${user.uid}\0${source}`).digest('hex').slice(0, 10), 'dir');

const locked = (script: string, args: string[]): Promise<unknown> => run('flock', ['-w', '30', `${RUN}/lock`, 'sh', '-c', script, 'pgorbit', ...args]);

/**
 * A path under which `user` reaches the same files: `path` itself (links resolved) when every folder above it lets
 * the user through, or when `user` is null; else one below a bind mount, made or reused. What is below a folder
 * that is closed must exist. Throws `permission` where nothing may be mounted.
 */
export async function reach(path: string, user: OsUser | null): Promise<string> {
  if (user === null) return path;
  const real = await realpathOfWhatExists(resolve(path));
  const part = await closedPart(real, user);
  if (part === null) return real;
  const target = targetOf(part.source, user);
  try {
    await mkdir(RUN, { recursive: true, mode: 0o755 });
    await locked(MOUNT, [part.source, target, String(user.gid)]);
  } catch (error) {
    throw new PgorbitError('permission', `PostgreSQL runs as "${user.name}", which may not go through ${part.closed} to ${path}, and no bind mount could be made.`, {
      hint: `chmod o+x ${part.closed}, or set PGORBIT_HOME and the volume's path to folders that "${user.name}" reaches.`,
      cause: error,
    });
  }
  return target + real.slice(part.source.length);
}

/**
 * Unmounts what reach() mounted for `path`. A mount that a process still uses stays: other members may lie below
 * the same one, and the last of them takes it away. Paths that reach() gave for a stopped member are void afterwards:
 * ask again before a start (startPostgres and initdb do).
 */
export async function release(path: string, user: OsUser | null): Promise<void> {
  if (user === null) return;
  const part = await closedPart(await realpathOfWhatExists(resolve(path)), user);
  if (part === null) return;
  const target = targetOf(part.source, user);
  if (!mountPoints(await readFile('/proc/self/mountinfo', 'utf8')).includes(target)) return;
  try {
    await locked(UNMOUNT, [target]);
  } catch (error) {
    if (!/busy/.test(String((error as { stderr?: unknown }).stderr))) throw error;
  }
}
