/** What has to fit together across the parts of a manifest. Each check is silent where the form is already wrong. */
import type { GroupSpec } from '../group/model.ts';
import { checkArchives } from './check-archive.ts';
import { checkCommit } from './check-commit.ts';
import { checkSources } from './check-source.ts';
import { checkStorage } from './check-storage.ts';
import { checkNames } from './names.ts';
import { checkSettings } from './settings.ts';
import type { Problem } from './problem.ts';
import { membersOf } from './subject.ts';
import type { Subject } from './subject.ts';
import { valueAt } from './value.ts';
import { oneOf } from './words.ts';

/** Every problem between the parts, in no particular order. */
export function checkTogether(subject: Subject): Problem[] {
  return [
    ...checkNames(subject), ...checkGroups(subject), ...checkSite(subject), ...checkMemberNames(subject), ...checkHosts(subject), ...checkPorts(subject),
    ...checkStorage(subject), ...checkSources(subject), ...checkCommit(subject), ...checkArchives(subject), ...checkEngine(subject), ...checkSettings(subject),
  ];
}

/** The engine that the manifest knows and this version does not run. */
function checkEngine({ raw, sound }: Subject): Problem[] {
  const path = ['engine', 'kind'];
  if (!sound(...path) || valueAt(raw, path) !== 'polardb') return [];
  return [{ path, at: 'value', message: '`kind: polardb` is not supported yet by this version of pgorbit', expected: '`kind: postgres`' }];
}

function checkSite({ spec, sound }: Subject): Problem[] {
  if (!sound('standby_of') || spec.standbyOf !== spec.cluster) return [];
  return [{ path: ['standby_of'], at: 'value', message: 'a cluster is no standby of itself', expected: 'the name of another cluster' }];
}

function checkGroups({ spec, sound }: Subject): Problem[] {
  if (Object.keys(spec.groups).length === 0 && sound('groups')) {
    return [{ path: ['groups'], at: 'key', message: 'there is no group', expected: 'at least one, with a primary among its `members`' }];
  }
  return Object.values(spec.groups).flatMap((group) => checkPrimary(group, sound));
}

function checkPrimary(group: GroupSpec, sound: Subject['sound']): Problem[] {
  const at = ['groups', group.name, 'members'];
  const members = Object.values(group.members);
  if (!sound(...at)) return [];
  if (members.length === 0) {
    return [{ path: at, at: 'key', message: `group \`${group.name}\` has no members`, expected: 'at least a primary: `n1: { host: h1, role: primary }`' }];
  }
  // A role that cannot be read may have been meant as the primary's.
  if (members.some((m) => !sound(...at, m.name, 'role'))) return [];
  const [first, ...others] = members.filter((m) => m.role === 'primary');
  if (!first) {
    const names = members.map((m) => `\`${m.name}\``);
    return [{ path: at, at: 'key', message: `group \`${group.name}\` has no primary`, expected: `\`role: primary\` for ${names.length === 1 ? names[0] : `one of ${names.join(', ')}`}` }];
  }
  return others.map((m) => ({
    path: [...at, m.name, 'role'], at: 'value',
    message: `\`${m.name}\` is a second primary: group \`${group.name}\` has \`${first.name}\` already`, expected: '`role: replica`: exactly one member of a group is the primary',
  }));
}

function checkMemberNames({ spec }: Subject): Problem[] {
  const owner = new Map<string, string>();
  const problems: Problem[] = [];
  for (const group of Object.values(spec.groups)) {
    for (const name of Object.keys(group.members)) {
      const other = owner.get(name);
      if (other === undefined) owner.set(name, group.name);
      else {
        problems.push({
          path: ['groups', group.name, 'members', name], at: 'key',
          message: `\`${name}\` is already the name of a member of group \`${other}\``, expected: 'a name of its own: members are called by it throughout the cluster',
        });
      }
    }
  }
  return problems;
}

function checkHosts({ spec, raw, sound }: Subject): Problem[] {
  const hosts = Object.keys(spec.hosts);
  if (hosts.length === 0) {
    return sound('hosts') ? [{ path: ['hosts'], at: 'key', message: 'there is no host', expected: 'at least one: `h1: 127.0.0.1`' }] : [];
  }
  return membersOf(spec).flatMap(({ path, member }): Problem[] => {
    if (!sound(...path, 'host')) return [];
    if (member.host === '') {
      const role = typeof valueAt(raw, path) === 'string' ? `, role: ${member.role}` : '';
      return [{ path, at: 'key', message: `\`${member.name}\` has no host`, expected: `\`{ host: ${hosts[0]}${role} }\`: only where there is a single host may it be left out` }];
    }
    if (Object.hasOwn(spec.hosts, member.host)) return [];
    return [{ path: [...path, 'host'], at: 'value', message: `there is no host \`${member.host}\``, expected: oneOf(member.host, hosts, '') }];
  });
}

/** Two listeners on one address. Ports that are chosen later are chosen free. */
function checkPorts({ spec, sound }: Subject): Problem[] {
  const listeners: { path: string[]; who: string; address: string; port: number }[] = [];
  for (const host of Object.values(spec.hosts)) {
    if (host.port !== null) listeners.push({ path: ['hosts', host.name, 'port'], who: `the agent of host \`${host.name}\``, address: host.address, port: host.port });
  }
  for (const { path, member } of membersOf(spec)) {
    const host = Object.hasOwn(spec.hosts, member.host) ? spec.hosts[member.host] : undefined;
    if (host && member.port !== null) listeners.push({ path: [...path, 'port'], who: `member \`${member.name}\``, address: host.address, port: member.port });
  }
  const taken = new Map<string, string>();
  const problems: Problem[] = [];
  for (const { path, who, address, port } of listeners) {
    if (!sound(...path) || address === '') continue;
    const key = `${plainAddress(address)} ${port}`;
    const other = taken.get(key);
    if (other === undefined) taken.set(key, who);
    else problems.push({ path, at: 'value', message: `port ${port} on ${address} is already that of ${other}`, expected: 'another port, or none: a free one is chosen then' });
  }
  return problems;
}

/** One spelling for the addresses of this machine that people mix. */
function plainAddress(address: string): string {
  const lower = address.toLowerCase().replace(/\.$/, '');
  return lower === 'localhost' || lower === '::1' ? '127.0.0.1' : lower;
}
