/** PostgreSQL refuses to run as root: the unprivileged user that runs it when pgorbit is root. */
import { execFile } from 'node:child_process';
import { lchown, readdir } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PgorbitError } from '../errors.ts';

const run = promisify(execFile);

export interface OsUser {
  name: string;
  uid: number;
  gid: number;
}

// In order: what every PostgreSQL package makes, what an operator may make for pgorbit, and what is always there.
const CANDIDATES = ['postgres', 'pgsql', 'pgorbit', 'nobody'];

async function lookUp(name: string): Promise<OsUser | null> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]);
    const user = { name, uid: Number(uid.stdout), gid: Number(gid.stdout) };
    return user.uid > 0 ? user : null;
  } catch {
    return null;
  }
}

/**
 * The user that PostgreSQL runs as, or null when we are not root and it runs as ourselves. `nobody` is the last
 * resort, because other programs share it. Throws `permission` where root finds no unprivileged user at all.
 */
export async function postgresOsUser(): Promise<OsUser | null> {
  if (process.getuid?.() !== 0) return null;
  for (const name of CANDIDATES) {
    const user = await lookUp(name);
    if (user !== null) return user;
  }
  throw new PgorbitError('permission', 'PostgreSQL refuses to run as root, and this machine has no user "postgres".', {
    hint: 'useradd --system --no-create-home postgres',
  });
}

/**
 * initdb and the client programs look up the name of the user that they run as (src/common/username.c), and end where
 * there is none, as under a container's arbitrary uid. Throws `permission` then.
 */
export function requireUserName(): void {
  const uid = process.getuid?.() ?? 0;
  if (uid === 0) return;
  try {
    userInfo();
  } catch (cause) {
    throw new PgorbitError('permission', `the user id ${uid} that pgorbit runs as has no name, and PostgreSQL's initdb refuses to run without one`, {
      hint: `as root: useradd --uid ${uid} --no-create-home pgorbit; in a container: run as a user that the image has, or use nss_wrapper`,
      cause,
    });
  }
}

/**
 * Gives a file or folder, and all below a folder, to `user`; does nothing for null. Follows no symbolic link. For
 * small trees: every entry is visited.
 */
export async function giveTo(path: string, user: OsUser | null): Promise<void> {
  if (user === null) return;
  await lchown(path, user.uid, user.gid);
  const entries = await readdir(path, { withFileTypes: true, recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOTDIR') return [];
    throw error;
  });
  for (const entry of entries) await lchown(join(entry.parentPath, entry.name), user.uid, user.gid);
}
