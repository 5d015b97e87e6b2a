/** Who votes and what follows from it: `commit`, `preferred_primary`, `without_majority`, the logger's limits. */
import type { GroupSpec } from '../group/model.ts';
import type { Problem } from './problem.ts';
import type { Subject } from './subject.ts';
import { formatSize } from './units.ts';
import { oneOf } from './words.ts';

/** The members that vote with `commit: quorum`, the primary among them, in the manifest's order. */
export function votersOf(group: GroupSpec): string[] {
  return Object.values(group.members).filter((member) => member.role !== 'standby').map((member) => member.name);
}

export function checkCommit({ spec, sound }: Subject): Problem[] {
  return Object.values(spec.groups).flatMap((group) => {
    const at = ['groups', group.name];
    const rolesSound = sound(...at, 'members') && Object.keys(group.members).every((name) => sound(...at, 'members', name, 'role'));
    return [
      ...(rolesSound ? checkVoters(group, at, sound) : []),
      ...(rolesSound && sound(...at, 'preferred_primary') ? checkPreferred(group, at) : []),
      ...checkWithoutMajority(group, at, sound),
      ...checkSynchronousCommit(group, at, sound),
      ...checkLogger(group, at, sound),
    ];
  });
}

function checkVoters(group: GroupSpec, at: string[], sound: Subject['sound']): Problem[] {
  if (group.commit !== 'quorum' || !sound(...at, 'commit') || votersOf(group).length !== 1) return [];
  return [{
    path: [...at, 'commit'], at: 'value', message: `\`commit: quorum\` needs others that confirm a commit, and group \`${group.name}\` has the primary alone`,
    expected: 'two more members with `role: replica` or `role: logger`, so that one may be lost; or `commit: async`',
  }];
}

function checkPreferred(group: GroupSpec, at: string[]): Problem[] {
  const { preferredPrimary: name } = group;
  if (name === null) return [];
  const path = [...at, 'preferred_primary'];
  const able = Object.values(group.members).filter((member) => member.role === 'primary' || member.role === 'replica').map((member) => member.name);
  const member = Object.hasOwn(group.members, name) ? group.members[name] : undefined;
  if (member === undefined) return [{ path, at: 'value', message: `group \`${group.name}\` has no member \`${name}\``, expected: oneOf(name, able, 'the name of a replica') }];
  if (able.includes(name)) return [];
  const why = member.role === 'logger' ? 'it holds WAL and no data' : 'it follows without a vote';
  return [{ path, at: 'value', message: `\`${name}\` is a ${member.role} and never becomes the primary by itself: ${why}`, expected: oneOf('', able, 'the name of a replica') }];
}

/** A primary that runs on beside its successor acknowledges nothing with a quorum, and everything without one. */
function checkWithoutMajority(group: GroupSpec, at: string[], sound: Subject['sound']): Problem[] {
  const known = ['storage', 'commit', 'failover', 'without_majority'].every((key) => sound(...at, key));
  if (!known || group.storage !== 'local' || group.commit !== 'async' || group.failover !== 'automatic' || group.withoutMajority !== 'run') return [];
  return [{
    path: [...at, 'without_majority'], at: 'value', message: `with \`commit: async\` a primary of group \`${group.name}\` that is cut off would go on acknowledging commits beside its successor, and they would be lost`,
    expected: '`without_majority: stop`, `commit: quorum`, or `failover: manual`',
  }];
}

/** What PostgreSQL takes for `on` (any unambiguous beginning, guc.c), and what waits for more. */
const ON = /^(on|t|tr|tru|true|y|ye|yes|1|remote_apply)$/i;

/** With less than `on` a commit is acknowledged before the others have it. */
function checkSynchronousCommit(group: GroupSpec, at: string[], sound: Subject['sound']): Problem[] {
  const value = group.settings['synchronous_commit'];
  if (value === undefined || ON.test(value) || group.commit !== 'quorum' || !sound(...at, 'commit')) return [];
  return [{
    path: [...at, 'settings', 'synchronous_commit'], at: 'value', message: `\`synchronous_commit: ${value}\` acknowledges commits that a majority of group \`${group.name}\` does not have on disk, which undoes \`commit: quorum\``,
    expected: '`on`, which is the default, or `remote_apply`; a session may lower it for transactions that may be lost',
  }];
}

function checkLogger(group: GroupSpec, at: string[], sound: Subject['sound']): Problem[] {
  const { keepBytes, maxBytes } = group.logger;
  if (!sound(...at, 'logger', 'keep') || !sound(...at, 'logger', 'limit') || maxBytes >= keepBytes) return [];
  return [{
    path: [...at, 'logger'], at: 'key', message: `the loggers of group \`${group.name}\` are to keep ${formatSize(keepBytes)} of WAL and not to go beyond ${formatSize(maxBytes)}`,
    expected: `a \`limit\` of at least ${formatSize(keepBytes)}, or less to \`keep\``,
  }];
}
