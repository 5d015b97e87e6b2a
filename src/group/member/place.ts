/** Where one member lives on its host, and whose it is. */
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memberDir, volumeMemberDir } from '../../home.ts';
import { PgorbitError } from '../../errors.ts';
import { MARKER_FILE, readMarker, type Marker } from '../../volume/marker.ts';

export interface Place {
  cluster: string;
  clusterId: string;
  group: string;
  member: string;
  host: string;
  /** Log, socket and small files: never on the volume. */
  homeDir: string;
  /** The member's own folder on the volume, or in homeDir where storage is local; `data` in it is PGDATA. */
  dir: string;
  dataDir: string;
  socketDir: string;
  logFile: string;
  /** The folder of any member of the group on the same volume; null where the member's storage is its own. */
  dirOf: ((member: string) => string) | null;
  /** The name of the member's cgroup. */
  cgroupOf: (member: string) => string;
}

/** `.s.PGSQL.65535.lock` has to fit behind the folder in sun_path (unix(7): 108 bytes). */
const LONGEST_SOCKET_DIR = 107 - '/.s.PGSQL.65535.lock'.length;

export interface PlaceInput {
  /** PGORBIT_HOME as PostgreSQL's user reaches it. */
  home: string;
  /** The group's volume as PostgreSQL's user reaches it, or null where the member's storage is its own. */
  volume: string | null;
  /** The folder of a member whose storage is its own; null: in homeDir. */
  own?: string | null;
  cluster: string;
  clusterId: string;
  group: string;
  member: string;
  host: string;
}

export function placeOf(input: PlaceInput): Place {
  const { cluster, clusterId, group, member, host, volume } = input;
  const homeDir = memberDir(input.home, cluster, host, group, member);
  const dirOf = volume === null ? null : (name: string): string => volumeMemberDir(volume, cluster, group, name);
  const dir = dirOf?.(member) ?? input.own ?? join(homeDir, 'storage');
  const hash = createHash('sha256').update(homeDir).digest('hex').slice(0, 12);
  const socketDir = join(homeDir, 'socket');
  return {
    cluster, clusterId, group, member, host, homeDir, dir, dirOf,
    dataDir: join(dir, 'data'),
    socketDir: socketDir.length <= LONGEST_SOCKET_DIR ? socketDir : join(tmpdir(), `pgorbit-${hash}`),
    logFile: join(homeDir, 'log', 'postgresql.log'),
    cgroupOf: (name) => `${cluster}-${clusterId.slice(0, 8)}-${group}-${name}`,
  };
}

/** What a folder that may be the member's holds: its own whole data, something half-made of this cluster's, or nothing. */
export type Holding = { kind: 'nothing' } | { kind: 'debris' } | { kind: 'data'; marker: Marker };

/** The file from which holdingOf() knows it, where there is one. */
export const markerFile = (place: Pick<Place, 'dir'>): string => join(place.dir, MARKER_FILE);

/**
 * A clone carries its source's marker until it is whole; a marker of another member of the group is therefore a
 * clone that was not finished.
 * @throws PgorbitError `not-ours` for content without a marker, or of another cluster or group.
 */
export async function holdingOf(place: Place): Promise<Holding> {
  const marker = await readMarker(place.dir);
  if (marker === null) return { kind: 'nothing' };
  if (marker.clusterId === place.clusterId && marker.group === place.group && marker.member === place.member) return { kind: 'data', marker };
  if (marker.clusterId === place.clusterId && marker.group === place.group) return { kind: 'debris' };
  throw foreign(place, marker);
}

function foreign(place: Place, marker: Marker): PgorbitError {
  return new PgorbitError('not-ours', `${place.dir} belongs to ${marker.member} of group ${marker.group} in cluster ${marker.cluster} (id ${marker.clusterId}), not to this cluster`, {
    hint: 'move it away, or give this cluster another name or volume',
  });
}
