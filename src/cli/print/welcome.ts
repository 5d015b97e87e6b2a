import type { StatusDocument } from '../../agent/api.ts';
import type { Style } from './style.ts';

export interface Welcome {
  status: StatusDocument;
  /** In words. */
  took: string;
  /** Each group's URIs, as they are to be shown. */
  uris: { group: string; /** Null on a standby site. */ rw: string | null; ro: string }[];
  /** The URIs are shown without their password. */
  hidden: boolean;
}

/** The end of `up`: how to get in, and what to try next. */
export function renderWelcome({ status, took, uris, hidden }: Welcome, style: Style): string {
  const lines = [`Cluster ${style.bold(status.cluster)} is ${style.green('healthy')} (${took}): ${census(status)}.`, ''];
  for (const { group, rw, ro } of uris) {
    const of = uris.length === 1 ? '' : ` (${group})`;
    if (rw !== null) lines.push(`  write${of}  ${rw}`);
    lines.push(`  read${of}   ${ro}`);
  }
  const follows = status.site?.role === 'standby' ? status.site.peer.cluster : null;
  if (follows !== null) lines.push('', `It is the standby site of ${follows} and follows it: what is written there is read here. Writes go there: \`pgorbit uri --cluster ${follows}\`.`);
  if (hidden) lines.push('', '`pgorbit uri` prints them with the password.');
  const [group] = status.groups;
  const replica = group?.members.find((member) => member.role === 'replica')?.name ?? 'n2';
  const ofIt = follows === null ? '' : ` --cluster ${status.cluster}`;
  const tries: [string, string][] = [
    [`pgorbit status${ofIt}`, `who does what, and ${status.volumes.length === 0 ? 'how far each of them is' : 'what the volume holds'}`],
    [`pgorbit sql${ofIt} -c 'select version()'`, 'SQL with nothing but Node'],
    [`pgorbit add replica${ofIt}`, 'one more reader, in seconds'],
    follows === null ? [`pgorbit switchover --to ${replica}`, 'hand over the writing'] : [`pgorbit site switchover${ofIt}`, `take over the writing from ${follows}, and back again`],
    [`pgorbit destroy --yes${ofIt}`, 'remove it all again'],
  ];
  const width = Math.max(...tries.map(([command]) => command.length));
  lines.push('', 'Try next:', ...tries.map(([command, does]) => `  ${style.bold(command)}${' '.repeat(width - command.length)}   ${does}`), '');
  return lines.join('\n');
}

function census(status: StatusDocument): string {
  const counts = new Map<string, number>();
  for (const { role } of status.groups.flatMap((group) => group.members)) counts.set(role, (counts.get(role) ?? 0) + 1);
  return [...counts].map(([role, count]) => `${count} ${count === 1 ? role : plural(role)}`).join(', ');
}

const plural = (role: string): string => (role.endsWith('y') ? `${role.slice(0, -1)}ies` : `${role}s`);
