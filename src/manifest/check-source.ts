/** Whom standbys take their WAL from: `source`, and `rate`. */
import type { GroupSpec, MemberSpec } from '../group/model.ts';
import type { Problem } from './problem.ts';
import type { Subject } from './subject.ts';
import { oneOf } from './words.ts';

const ROLES = ['primary', 'replica', 'logger', 'standby'];

export function checkSources({ spec, sound }: Subject): Problem[] {
  return Object.values(spec.groups).flatMap((group) => Object.values(group.members).flatMap((member) => {
    const at = ['groups', group.name, 'members', member.name];
    if (!sound(...at, 'role')) return [];
    return [...checkRole(member, at, sound), ...(member.role === 'standby' && sound(...at, 'source') ? checkSource(group, member, at) : [])];
  }));
}

function checkRole(member: MemberSpec, at: string[], sound: Subject['sound']): Problem[] {
  if (member.role === 'standby') return [];
  return (['source', 'rate'] as const).filter((key) => member[key] !== null && sound(...at, key)).map((key) => ({
    path: [...at, key], at: 'key', message: `\`${member.name}\` is a ${member.role}, and only a standby has a \`${key}\``, expected: 'neither: it follows the primary',
  }));
}

function checkSource(group: GroupSpec, member: MemberSpec, at: string[]): Problem[] {
  const { source } = member;
  if (source === null) return [];
  const path = [...at, 'source'];
  const others = Object.keys(group.members).filter((name) => name !== member.name);
  if (source === member.name) return [{ path, at: 'value', message: `\`${source}\` cannot be its own source`, expected: oneOf('', others, 'another member') }];
  if (!Object.hasOwn(group.members, source)) {
    // A role that nobody has at the moment is no mistake: until somebody has it, the primary is the source.
    if (ROLES.includes(source)) return [];
    return [{ path, at: 'value', message: `group \`${group.name}\` has no member \`${source}\``, expected: oneOf(source, [...others, ...ROLES], '') }];
  }
  return circle(group, member) ? [{ path, at: 'value', message: `\`${member.name}\` and \`${source}\` would take their WAL from one another`, expected: 'a source that gets its WAL from elsewhere' }] : [];
}

/** Does the chain of sources that begins at the member lead back to it? */
function circle(group: GroupSpec, member: MemberSpec): boolean {
  const seen = new Set<string>();
  for (let at = member.source; at !== null && !seen.has(at); at = group.members[at]?.source ?? null) {
    if (at === member.name) return true;
    seen.add(at);
  }
  return false;
}
