/** Roles after a failover: the manifest still names the old primary. Pure. */
import { PgorbitError } from '../../errors.ts';
import type { ClusterSpec } from '../../group/model.ts';
import { primaryOf } from './names.ts';

/**
 * `before` as it should be compared with `after`: where a group's primary is by now the one that `after` names, it
 * is no change that its role in `before` was another.
 */
export function alignRoles(before: ClusterSpec, after: ClusterSpec, primaries: Readonly<Record<string, string | null>>): ClusterSpec {
  const aligned = structuredClone(before);
  for (const group of Object.values(aligned.groups)) {
    const wanted = after.groups[group.name];
    const now = primaries[group.name];
    if (wanted === undefined || !now || primaryOf(wanted) !== now || primaryOf(group) === now) continue;
    for (const member of Object.values(group.members)) {
      if (member.role === 'primary') member.role = 'replica';
      if (member.name === now) member.role = 'primary';
    }
  }
  return aligned;
}

/** Throws `remove-primary` where `after` leaves out the member that accepts writes now. */
export function refuseRemovedPrimary(after: ClusterSpec, primaries: Readonly<Record<string, string | null>>): void {
  for (const [group, primary] of Object.entries(primaries)) {
    const wanted = after.groups[group];
    if (primary === null || wanted === undefined || wanted.members[primary] !== undefined) continue;
    throw new PgorbitError('remove-primary', `${primary} is the primary of group ${group}: it can't be removed`, { hint: `hand over first: \`pgorbit switchover\`, then \`pgorbit remove ${primary}\`` });
  }
}
