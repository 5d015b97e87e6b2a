/**
 * What is left of a member that became a cluster of its own: a small durable file outside its data. It outlives the
 * agent, so that this group never takes it for a member again, and says how far it came.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../../durable.ts';
import { errnoOf } from '../../errors.ts';
import { readMarker } from '../../volume/marker.ts';
import type { Place } from './place.ts';
import type { RecoveryPoint } from './recovery-point.ts';

/** Whose the data are from now on. */
export interface NewOwner {
  cluster: string;
  clusterId: string;
}

export interface Parted {
  owner: NewOwner;
  point: RecoveryPoint;
  /** False until its data bear the new owner's mark: a crash before that leaves a standby that is put right as any other. */
  done: boolean;
}

const fileOf = (homeDir: string): string => join(homeDir, 'parted.json');

export async function readParted(homeDir: string): Promise<Parted | null> {
  try {
    return JSON.parse(await readFile(fileOf(homeDir), 'utf8')) as Parted;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/**
 * As readParted of the member's place. The mark on the data is what decides: where a kill came between that and the note of it, the
 * note is made up for.
 */
export async function partedFrom(place: Pick<Place, 'homeDir' | 'dir'>): Promise<Parted | null> {
  const parted = await readParted(place.homeDir);
  if (parted === null || parted.done || (await readMarker(place.dir))?.clusterId !== parted.owner.clusterId) return parted;
  const done = { ...parted, done: true };
  await writeParted(place.homeDir, done);
  return done;
}

export const writeParted = (homeDir: string, parted: Parted): Promise<void> => writeDurably(fileOf(homeDir), `${JSON.stringify(parted)}\n`);
