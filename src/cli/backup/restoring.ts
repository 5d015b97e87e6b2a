/**
 * admin/restoring.json: a cluster that a restore is making. Until the manifest is applied nobody has used it: what an
 * interrupted restore left may go, and must not be taken for a cluster.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PgorbitError } from '../../errors.ts';
import { adminDir, clusterDir } from '../../home.ts';
import { readApplied, readCluster } from '../admin.ts';
import type { Context } from '../context.ts';
import { destroyCluster } from '../destroy.ts';
import { readText, writeJson } from '../files.ts';
import { takeLock } from '../lock.ts';

const fileOf = (home: string, cluster: string): string => join(adminDir(home, cluster), 'restoring.json');

const DESTROY_MS = 300_000;

export const markRestoring = (home: string, cluster: string, backup: string): Promise<void> => writeJson(fileOf(home, cluster), { backup, since: new Date().toISOString() });

/** The cluster is one like any other. */
export const forgetRestoring = (home: string, cluster: string): Promise<void> => rm(fileOf(home, cluster), { force: true });

/** Is there a cluster that no restore has finished? */
export async function isHalfRestored(home: string, cluster: string): Promise<boolean> {
  return (await readText(fileOf(home, cluster))) !== null && ((await readApplied(home, cluster))?.spec ?? null) === null;
}

/** Throws `unsafe` for a cluster that is there; one that an earlier restore left half made is removed first. */
export async function makeWay(context: Context, cluster: string): Promise<void> {
  if ((await readCluster(context.home, cluster)) === null) return;
  if (!(await isHalfRestored(context.home, cluster))) {
    throw new PgorbitError('unsafe', `there is a cluster ${cluster} already`, { hint: 'name another with --as; a restore never writes into a cluster that is there' });
  }
  context.progress.note(`cluster ${cluster} was being restored when that was interrupted: what is left of it is removed first`);
  await clearHalfRestored(context, cluster);
}

/** Removes what a restore made that did not come to its end. Throws `locked` while another one is at it. */
export async function clearHalfRestored(context: Context, cluster: string): Promise<void> {
  const lock = await takeLock(clusterDir(context.home, cluster), 'restore');
  try {
    if (!(await isHalfRestored(context.home, cluster))) return;
    if ((await readCluster(context.home, cluster)) === null) await forgetRestoring(context.home, cluster);
    else await destroyCluster(context, cluster, context.deadline(DESTROY_MS));
  } finally {
    await lock.release();
  }
}
