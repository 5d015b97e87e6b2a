/**
 * One cgroup (version 2) for each PostgreSQL: the kernel then kills the whole instance at once, whatever it forks,
 * and says when nothing of it is left. Documentation/admin-guide/cgroup-v2.rst.
 */
import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { constants } from 'node:fs';
import { dirname, join } from 'node:path';
import { PgorbitError, errnoOf } from '../errors.ts';
import { sleep } from '../lifecycle.ts';
import { sendSignal } from './proc.ts';

export interface Cgroup {
  /** The cgroup's folder. */
  path: string;
  /** Writing `0` to it moves the writer in. */
  procsFile: string;
  /** Kills everything in it and resolves when nothing is left; throws `fence-failed` after 15 s. */
  kill(): Promise<void>;
  /** True while a process lives in it or below it. */
  populated(): Promise<boolean>;
  pids(): Promise<number[]>;
  /** Deletes it, and the folders above it that pgorbit made and nothing uses. It must be empty. */
  remove(): Promise<void>;
}

const TOP = 'pgorbit';
const KILL_WITHIN_MS = 15_000;
/** Where a cgroup cannot be made: read-only or foreign hierarchies, containers, no delegation. */
const IMPOSSIBLE = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOENT', 'EBUSY', 'ENOSPC', 'EAGAIN', 'EOPNOTSUPP']);

/** The mount point of the cgroup2 hierarchy in the text of /proc/mounts, or null. Hybrid hosts have it beside version 1. */
export function unifiedMount(mounts: string): string | null {
  for (const line of mounts.split('\n')) {
    const [, target, type] = line.split(' ');
    if (type === 'cgroup2' && target !== undefined) return target.replaceAll('\\040', ' ');
  }
  return null;
}

/** Our own place in the hierarchy, from the text of /proc/self/cgroup. */
export function ownCgroup(selfCgroup: string): string {
  return /^0::(.*)$/m.exec(selfCgroup)?.[1] ?? '/';
}

async function topFolder(): Promise<string | null> {
  const mount = unifiedMount(await readFile('/proc/mounts', 'utf8').catch(() => ''));
  if (mount === null) return null;
  // Root's are beside the services, not below our own: stopping our unit must not stop PostgreSQL.
  if (process.getuid?.() === 0) return join(mount, TOP);
  return join(mount, ownCgroup(await readFile('/proc/self/cgroup', 'utf8')), TOP);
}

function checkName(name: string): void {
  if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/.test(name)) {
    throw new PgorbitError('internal', `"${name}" cannot name a cgroup.`);
  }
}

/** Makes or finds the cgroup `pgorbit/<name>` (`name` may hold slashes); null where this machine lets us make none. */
export async function openCgroup(name: string): Promise<Cgroup | null> {
  checkName(name);
  const top = await topFolder();
  if (top === null) return null;
  const path = join(top, name);
  try {
    await makeFolders(path);
    await access(join(path, 'cgroup.procs'), constants.W_OK);
    // A child of ours can only move in where the common ancestor is ours to write, too.
    await access(join(dirname(top), 'cgroup.procs'), constants.W_OK);
  } catch (error) {
    if (IMPOSSIBLE.has(errnoOf(error) ?? '')) return null;
    throw error;
  }
  return cgroupAt(top, path);
}

/** A neighbour's remove() may take an empty parent away between two steps of ours: try again. */
async function makeFolders(path: string): Promise<void> {
  for (let left = 3; ; left--) {
    try {
      await mkdir(path, { recursive: true });
      return;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || left === 0) throw error;
    }
  }
}

/** The cgroup `pgorbit/<name>` where it exists, or null. */
export async function findCgroup(name: string): Promise<Cgroup | null> {
  checkName(name);
  const top = await topFolder();
  if (top === null) return null;
  const path = join(top, name);
  return (await readOrGone(join(path, 'cgroup.procs'))) === null ? null : cgroupAt(top, path);
}

/** The file's text; null when the cgroup has been removed. */
async function readOrGone(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'latin1');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENODEV') return null;
    throw error;
  }
}

function cgroupAt(top: string, path: string): Cgroup {
  const procsFile = join(path, 'cgroup.procs');
  const pids = async (): Promise<number[]> => ((await readOrGone(procsFile)) ?? '').split('\n').filter((line) => line !== '').map(Number);
  const populated = async (): Promise<boolean> => /^populated 1$/m.test((await readOrGone(join(path, 'cgroup.events'))) ?? '');

  async function kill(): Promise<void> {
    const end = performance.now() + KILL_WITHIN_MS;
    for (let first = true; await populated(); first = false) {
      if (!first) await sleep(2);
      // cgroup.kill came with Linux 5.14.
      const killed = await writeFile(join(path, 'cgroup.kill'), '1', { flag: 'r+' }).then(() => true, () => false);
      if (!killed) for (const pid of await pids()) sendSignal(pid, 'SIGKILL');
      if (performance.now() > end) {
        throw new PgorbitError('fence-failed', `Processes ${(await pids()).join(', ')} in ${path} survived SIGKILL for ${KILL_WITHIN_MS / 1000} s.`, {
          hint: 'They wait inside the kernel, mostly for a disk: look at `cat /proc/PID/stack`, mend the disk or restart the host.',
        });
      }
    }
  }

  async function remove(): Promise<void> {
    for (let folder = path; folder.startsWith(top); folder = dirname(folder)) {
      try {
        await rmdir(folder);
      } catch (error) {
        const code = errnoOf(error);
        if (code === 'ENOENT') continue;
        if (folder !== path && (code === 'EBUSY' || code === 'ENOTEMPTY' || code === 'EACCES')) return;
        throw error;
      }
    }
  }

  return { path, procsFile, kill, populated, pids, remove };
}
