/**
 * A member's folder comes into being under a temporary name and is renamed when it is whole, and is renamed before
 * it is deleted: a crash leaves `.<name>.pgorbit-new` or `.<name>.pgorbit-gone`, which the next attempt clears, and
 * never a part under the member's own name. Those names are pgorbit's mark on what has no marker yet.
 */
import { chmod, mkdir, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf, PgorbitError } from '../errors.ts';
import { exists, syncFolder } from '../durable.ts';
import type { Driver } from './driver.ts';
import { readMarker, writeMarker, type Marker } from './marker.ts';

const temporaryName = (dir: string, what: 'new' | 'gone'): string => join(dirname(dir), `.${basename(dir)}.pgorbit-${what}`);

/**
 * Runs `build` on a temporary name, adds the marker, and gives the result its name.
 * @throws `unsafe` where `dir` exists.
 */
export async function buildFolder<T>(
  driver: Driver,
  dir: string,
  marker: Marker | undefined,
  build: (temporary: string) => Promise<T>,
): Promise<T> {
  await requireAbsent(dir);
  await makeParents(dirname(dir));
  const temporary = temporaryName(dir, 'new');
  await clearLeftover(driver, temporary);
  try {
    const result = await build(temporary);
    if (marker) await writeMarker(temporary, marker);
    await requireAbsent(dir);
    await rename(temporary, dir);
    await syncFolder(dirname(dir));
    return result;
  } catch (error) {
    // The first error is what matters; what cannot be cleared now is cleared by the next attempt.
    await clearLeftover(driver, temporary).catch(() => undefined);
    throw fullError(error, dir);
  }
}

/** Deletes a folder that bears pgorbit's marker, or is empty; one that is absent is no error. @throws `not-ours` */
export async function removeFolder(driver: Driver, dir: string): Promise<void> {
  await clearLeftover(driver, temporaryName(dir, 'new'));
  await clearLeftover(driver, temporaryName(dir, 'gone'));
  if (!(await exists(dir))) return;
  await readMarker(dir);
  await rename(dir, temporaryName(dir, 'gone'));
  await syncFolder(dirname(dir));
  await driver.deleteFolder(temporaryName(dir, 'gone'));
}

/** Renames a folder. @throws `unsafe` where `to` exists. */
export async function moveFolder(from: string, to: string): Promise<void> {
  await requireAbsent(to);
  await makeParents(dirname(to));
  await rename(from, to);
  await syncFolder(dirname(to));
  if (dirname(from) !== dirname(to)) await syncFolder(dirname(from));
}

/** Deletes what an interrupted attempt of ours left under a temporary name. */
async function clearLeftover(driver: Driver, temporary: string): Promise<void> {
  if (await exists(temporary)) await driver.deleteFolder(temporary);
}

async function requireAbsent(dir: string): Promise<void> {
  if (!(await exists(dir))) return;
  throw new PgorbitError('unsafe', `${dir} exists already and is not overwritten`, {
    hint: 'remove the member, or let pgorbit move its folder aside',
  });
}

/** Makes the folders above a member's; PostgreSQL's user must be able to pass through those that are new. */
async function makeParents(dir: string): Promise<void> {
  const first = await mkdir(dir, { recursive: true });
  if (first === undefined) return;
  for (let made = dir; made.length >= first.length; made = dirname(made)) await chmod(made, 0o755);
  await syncFolder(dirname(first));
}

/** The member's folder for which `path` is what an interrupted attempt left; null where it is no such thing. */
export function folderOfLeftover(path: string): string | null {
  const name = /^\.(.+)\.pgorbit-(?:new|gone)$/.exec(basename(path))?.[1];
  return name === undefined ? null : join(dirname(path), name);
}

function fullError(error: unknown, dir: string): unknown {
  if (errnoOf(error) !== 'ENOSPC' && errnoOf(error) !== 'EDQUOT') return error;
  return new PgorbitError('volume-full', `the volume ran full while ${dir} was made; what was made is removed again`, {
    hint: '`pgorbit volume grow`, `pgorbit volume reclaim`, or remove a member',
    cause: error,
  });
}
