/** What a person should know of a manifest that is allowed: said once, when it is applied. Pure. */
import type { ClusterSpec, GroupSpec } from '../group/model.ts';
import { votersOf } from './check-commit.ts';

/** One sentence a matter; none for most manifests. */
export function notesOn(spec: ClusterSpec): string[] {
  return Object.values(spec.groups).flatMap((group) => [...quorumNotes(spec, group), ...memberNotes(group)]);
}

function quorumNotes(spec: ClusterSpec, group: GroupSpec): string[] {
  if (group.commit !== 'quorum') return [];
  const voters = votersOf(group);
  const notes: string[] = [];
  const majority = Math.floor(voters.length / 2) + 1;
  if (voters.length === 2) {
    notes.push(`group ${group.name} has two voters, ${voters.join(' and ')}: while either is away no commit is acknowledged; a third (\`pgorbit add logger\`) lets one be lost`);
  } else {
    for (const host of Object.keys(spec.hosts)) {
      const here = voters.filter((name) => group.members[name]?.host === host);
      if (here.length > 1 && voters.length - here.length < majority) {
        notes.push(`group ${group.name}: ${here.join(' and ')} are ${here.length} of ${voters.length} voters on host ${host}, so that without it there is no majority; to try things out that is fine`);
      }
    }
  }
  if (!Object.values(group.members).some((member) => member.role === 'replica')) {
    notes.push(`group ${group.name} has no replica: nobody can take over from the primary, because a logger holds no data`);
  }
  return notes;
}

function memberNotes(group: GroupSpec): string[] {
  return Object.values(group.members).flatMap((member) => {
    if (member.role === 'logger' && group.commit === 'async') {
      return [`${member.name} is a logger in a group with \`commit: async\`: no commit waits for it, so that it has what reached it in time; \`commit: quorum\` makes it count`];
    }
    if (member.role !== 'standby' || group.volume === null || member.volume !== group.volume) return [];
    return [`${member.name} is a standby on the group's own volume ${group.volume}: what destroys the volume destroys it too; give it another \`volume\` or a \`path\``];
  });
}
