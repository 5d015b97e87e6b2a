import type { GroupSpec, MemberRecord } from './model.ts';

/** The name of the volume that a member lives on, or null: in a folder of its own. Pure. */
export function volumeOf(group: GroupSpec, member: Pick<MemberRecord, 'name' | 'role'>): string | null {
  const wanted = group.members[member.name];
  if (wanted?.path != null) return null;
  if (wanted?.volume != null) return wanted.volume;
  // A logger holds no data that a clone could share, and a standby is there for the day on which the volume is lost.
  return member.role === 'logger' || member.role === 'standby' ? null : group.volume;
}
