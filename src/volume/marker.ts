/**
 * The marker: a file in every folder that pgorbit made, which says whose it is. pgorbit marks what it made, refuses
 * what it did not make, and moves aside rather than deletes.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, PgorbitError } from '../errors.ts';
import { readText, writeDurably } from '../durable.ts';

export const MARKER_FILE = 'pgorbit.json';

export interface Marker {
  format: 1;
  /** The cluster document's random id: two clusters of one name are still two. */
  clusterId: string;
  cluster: string;
  group: string;
  member: string;
  /** Counts the member's data directories. */
  incarnation: number;
  /** The group's term when the data were made. */
  term: number;
  /** PostgreSQL's system identifier in decimal, or null while initdb has not run. */
  systemIdentifier: string | null;
  /** ISO 8601; for people. */
  madeAt: string;
}

/** The text of a marker checked; null where it is not one. */
export function parseMarker(text: string): Marker | null {
  let value: Partial<Marker> | null;
  try {
    value = JSON.parse(text) as Partial<Marker> | null;
  } catch {
    return null;
  }
  if (value === null || typeof value !== 'object' || value.format !== 1) return null;
  const { clusterId, cluster, group, member, incarnation, term, systemIdentifier, madeAt } = value;
  if (typeof clusterId !== 'string' || typeof cluster !== 'string' || typeof group !== 'string') return null;
  if (typeof member !== 'string' || typeof incarnation !== 'number' || typeof term !== 'number') return null;
  if (systemIdentifier !== null && typeof systemIdentifier !== 'string') return null;
  return {
    format: 1, clusterId, cluster, group, member, incarnation, term, systemIdentifier,
    madeAt: typeof madeAt === 'string' ? madeAt : '',
  };
}

/**
 * The marker in a member's folder. Null where the folder is absent or empty.
 * @throws `not-ours` where the folder has content but no marker that can be read.
 */
export async function readMarker(dir: string): Promise<Marker | null> {
  const text = await readText(join(dir, MARKER_FILE)).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOTDIR') return '';
    throw error;
  });
  if (text !== null) {
    const marker = parseMarker(text);
    if (marker) return marker;
    throw new PgorbitError('not-ours', `${dir} is not a folder that pgorbit made: ${MARKER_FILE} in it is not a marker`, {
      hint: 'move it away, or give the member another volume',
    });
  }
  const entries = await readdir(dir).catch((error: unknown): string[] => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  if (entries.every(isLitter)) return null;
  throw new PgorbitError('not-ours', `${dir} has content that pgorbit did not make (no ${MARKER_FILE} in it)`, {
    hint: 'move it away, or give the member another volume',
  });
}

/**
 * Like readMarker, and it must be this member's.
 * @throws `not-ours` where another cluster, group or member made the folder.
 */
export async function readOwnMarker(
  dir: string,
  owner: Pick<Marker, 'clusterId' | 'group' | 'member'>,
): Promise<Marker | null> {
  const marker = await readMarker(dir);
  if (marker === null) return null;
  if (marker.clusterId !== owner.clusterId) {
    throw new PgorbitError('not-ours', `${dir} belongs to another cluster (${marker.cluster}, id ${marker.clusterId})`, {
      hint: 'move it away, or give this cluster another name or volume',
    });
  }
  if (marker.group !== owner.group || marker.member !== owner.member) {
    throw new PgorbitError('not-ours', `${dir} belongs to member ${marker.member} of group ${marker.group}, not to ${owner.member} of ${owner.group}`, {
      hint: 'move it back to where it belongs',
    });
  }
  return marker;
}

/** What a crash between writing the marker aside and renaming it leaves. */
function isLitter(name: string): boolean {
  return name.startsWith(`.${MARKER_FILE}.`) && name.endsWith('.tmp');
}

/** Writes the marker atomically and durably; the folder must exist. */
export async function writeMarker(dir: string, marker: Marker): Promise<void> {
  await writeDurably(join(dir, MARKER_FILE), `${JSON.stringify(marker, null, 2)}\n`, { mode: 0o644 });
}
