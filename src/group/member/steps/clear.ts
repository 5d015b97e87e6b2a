/** Taking a member's data away: aside when it will be made anew, for good when the member goes. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf } from '../../../errors.ts';
import { judgeLock, surroundings } from '../../../volume/lock-owner.ts';
import { lockedError, readLock } from '../../../volume/lock.ts';
import { readMarker } from '../../../volume/marker.ts';
import type { Volume } from '../../../volume/volume.ts';
import { holdingOf, type Place } from '../place.ts';

const ASIDE = '.aside-';

/**
 * Moves whole data to `<member>.aside-<incarnation>`, where they stay until the member is healthy again; deletes what
 * was only half made, which nobody ever ran on.
 */
export async function setAside(place: Place, volume: Volume): Promise<void> {
  const holding = await holdingOf(place);
  if (holding.kind === 'nothing') return;
  if (holding.kind === 'debris' || holding.marker.incarnation === 0) {
    await volume.removeMember(place.dir);
    return;
  }
  const aside = `${place.dir}${ASIDE}${holding.marker.incarnation}`;
  await volume.removeMember(aside);
  await volume.moveMember(place.dir, aside);
}

/**
 * Deletes what was set aside. To be called when the member streams again or is the primary: the proof that its primary has everything
 * that a failed member could have held is the take-over's replay to the last record, or the streaming itself.
 */
export async function dropAside(place: Place, volume: Volume): Promise<void> {
  for (const dir of await asides(place)) {
    const marker = await readMarker(dir);
    if (marker?.clusterId === place.clusterId && marker.member === place.member) await volume.removeMember(dir);
  }
}

/**
 * The member's folder goes, and what was set aside. Only what carries this member's marker, and is not in use from another host:
 * on a shared volume that is a namesake's, of which this host has not heard.
 * @throws `not-ours`, `locked`
 */
export async function removeFolders(place: Place, volume: Volume): Promise<void> {
  const holding = await holdingOf(place);
  if (holding.kind === 'data') await refuseUsed(place);
  await volume.removeMember(place.dir);
  await dropAside(place, volume);
}

async function refuseUsed({ dir, host }: Place): Promise<void> {
  const owner = await readLock(dir);
  if (owner === null || owner.host === host || judgeLock(owner, await surroundings(dir)) === 'stale') return;
  throw lockedError(dir, owner);
}

/** The folders of what was set aside. */
export async function asides(place: Place): Promise<string[]> {
  const parent = dirname(place.dir);
  const prefix = `${basename(place.dir)}${ASIDE}`;
  const names = await readdir(parent).catch((error: unknown): string[] => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => name.startsWith(prefix)).map((name) => join(parent, name));
}
