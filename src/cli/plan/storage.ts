/** Where a member's storage is. Pure. */
import type { ClusterSpec, GroupSpec, MemberSpec } from '../../group/model.ts';
import { volumeOf } from '../../group/on-volume.ts';
import { volumeMemberDir } from '../../home.ts';

/** The group's volume, or a folder of the member's own; both null: in the home of its agent. Paths as in the manifest. */
export interface Storage {
  volume: string | null;
  own: string | null;
}

export function storageOf(spec: ClusterSpec, group: GroupSpec, member: MemberSpec): Storage {
  const volume = spec.volumes[volumeOf(group, member) ?? '']?.path;
  if (volume === undefined) return { volume: null, own: member.path };
  return member.volume === null ? { volume, own: null } : { volume: null, own: volumeMemberDir(volume, spec.cluster, group.name, member.name) };
}

/** Every member's own `path`: what lies outside of the home and of every volume. */
export function ownFolders(spec: ClusterSpec): string[] {
  return Object.values(spec.groups).flatMap((group) => Object.values(group.members).map((member) => member.path).filter((path) => path !== null));
}
