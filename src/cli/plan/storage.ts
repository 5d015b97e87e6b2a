/** Where a member's storage is. Pure. */
import type { ClusterSpec, GroupSpec, MemberSpec } from '../../group/model.ts';
import { volumeMemberDir } from '../../home.ts';

/** The group's volume, or a folder of the member's own; both null: in the home of its agent. Paths as in the manifest. */
export interface Storage {
  volume: string | null;
  own: string | null;
}

export function storageOf(spec: ClusterSpec, group: GroupSpec, member: MemberSpec): Storage {
  if (member.path !== null) return { volume: null, own: member.path };
  const volume = spec.volumes[member.volume ?? '']?.path;
  if (volume !== undefined) return { volume: null, own: volumeMemberDir(volume, spec.cluster, group.name, member.name) };
  // A logger holds no data that a clone could share.
  return { volume: member.role === 'logger' ? null : (spec.volumes[group.volume ?? '']?.path ?? null), own: null };
}

/** Every member's own `path`: what lies outside of the home and of every volume. */
export function ownFolders(spec: ClusterSpec): string[] {
  return Object.values(spec.groups).flatMap((group) => Object.values(group.members).map((member) => member.path).filter((path) => path !== null));
}
