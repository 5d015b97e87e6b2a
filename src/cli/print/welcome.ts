import type { StatusDocument } from '../../agent/api.ts';
import type { Style } from './style.ts';

export interface Welcome {
  status: StatusDocument;
  /** In words. */
  took: string;
  /** Each group's URIs, as they are to be shown. */
  uris: { group: string; rw: string; ro: string }[];
  /** The URIs are shown without their password. */
  hidden: boolean;
}

/** The end of `up`: how to get in, and what to try next. */
export function renderWelcome({ status, took, uris, hidden }: Welcome, style: Style): string {
  const lines = [`Cluster ${style.bold(status.cluster)} is ${style.green('healthy')} (${took}): ${census(status)}.`, ''];
  for (const { group, rw, ro } of uris) {
    const of = uris.length === 1 ? '' : ` (${group})`;
    lines.push(`  write${of}  ${rw}`, `  read${of}   ${ro}`);
  }
  if (hidden) lines.push('', '`pgorbit uri` prints them with the password.');
  const [group] = status.groups;
  const replica = group?.members.find((member) => member.role === 'replica')?.name ?? 'n2';
  const tries: [string, string][] = [
    ['pgorbit status', `who does what, and ${status.volumes.length === 0 ? 'how far each of them is' : 'what the volume holds'}`],
    [`pgorbit sql -c 'select version()'`, 'SQL with nothing but Node'],
    ['pgorbit add replica', 'one more reader, in seconds'],
    [`pgorbit switchover --to ${replica}`, 'hand over the writing'],
    ['pgorbit destroy --yes', 'remove it all again'],
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
