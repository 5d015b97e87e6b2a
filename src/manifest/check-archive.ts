/** Where WAL is archived, by whom and from whom. */
import { relative } from 'node:path';
import type { ArchiveSettings, ClusterSpec, GroupSpec } from '../group/model.ts';
import type { Problem } from './problem.ts';
import type { Subject } from './subject.ts';
import { OBJECT_STORE, oneOf } from './words.ts';

export function checkArchives({ spec, sound }: Subject): Problem[] {
  return Object.values(spec.groups).flatMap((group) => {
    const at = ['groups', group.name, 'archive'];
    if (group.archive === null || !sound(...at)) return [];
    return [...checkPlace(spec, group.archive, at), ...(sound(...at, 'source') ? checkSource(group, group.archive, at) : []), ...checkHosts(group, group.archive, at, sound)];
  });
}

/** An archive is there for the day on which what it archives is gone. */
function checkPlace(spec: ClusterSpec, { to }: ArchiveSettings, at: string[]): Problem[] {
  if (OBJECT_STORE.test(to)) {
    if (/^s3:\/\/[^/]+/i.test(to)) return [];
    return [{ path: [...at, 'to'], at: 'value', message: `${to} is neither a folder nor s3://`, expected: 'a folder, or `s3://BUCKET/PREFIX`' }];
  }
  const volume = Object.values(spec.volumes).find((one) => !relative(one.path, to).startsWith('..'));
  if (volume === undefined) return [];
  return [{ path: [...at, 'to'], at: 'value', message: `${to} lies on volume \`${volume.name}\`: what is archived would be lost with it`, expected: 'a folder on another disk' }];
}

function checkSource(group: GroupSpec, { source }: ArchiveSettings, at: string[]): Problem[] {
  if (source === null || source === 'primary' || Object.values(group.members).some((member) => member.role === source)) return [];
  return [{ path: [...at, 'source'], at: 'value', message: `group \`${group.name}\` has no ${source}`, expected: 'no `source`, or `source: primary`' }];
}

function checkHosts(group: GroupSpec, { hosts }: ArchiveSettings, at: string[], sound: Subject['sound']): Problem[] {
  if (hosts === null || !sound('groups', group.name, 'members')) return [];
  const present = [...new Set(Object.values(group.members).map((member) => member.host))];
  return hosts.flatMap((name, i): Problem[] => (present.includes(name) ? [] : [{
    path: [...at, 'hosts', String(i)], at: 'value', message: `group \`${group.name}\` has no member on host \`${name}\``, expected: oneOf(name, present, 'a host of one of its members'),
  }]));
}
