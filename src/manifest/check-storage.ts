/** Where data lie: each group's volume, and what members have of their own. */
import { relative } from 'node:path';
import type { GroupSpec, MemberSpec } from '../group/model.ts';
import type { Problem } from './problem.ts';
import { membersOf } from './subject.ts';
import type { Subject } from './subject.ts';
import { oneOf } from './words.ts';

export function checkStorage(subject: Subject): Problem[] {
  return [...checkVolumes(subject), ...checkGroupVolumes(subject), ...checkOwnStorage(subject), ...checkFolders(subject)];
}

function checkVolumes({ spec, sound }: Subject): Problem[] {
  const byPath = new Map<string, string>();
  return Object.values(spec.volumes).flatMap((volume): Problem[] => {
    const path = ['volumes', volume.name, 'path'];
    if (!sound(...path)) return [];
    const other = byPath.get(volume.path);
    if (other !== undefined) return [{ path, at: 'value', message: `this is the folder of volume \`${other}\` too`, expected: 'a folder of its own, or one volume: groups may share it' }];
    byPath.set(volume.path, volume.name);
    return [];
  });
}

function checkGroupVolumes({ spec, sound }: Subject): Problem[] {
  const volumes = Object.keys(spec.volumes);
  return Object.values(spec.groups).flatMap((group): Problem[] => {
    const at = ['groups', group.name];
    if (!sound(...at, 'storage') || !sound(...at, 'volume')) return [];
    if (group.storage === 'local' && group.volume !== null) {
      return [{
        path: [...at, 'volume'], at: 'key', message: `group \`${group.name}\` has \`storage: local\`: each member has storage of its own, and the group no volume`,
        expected: 'no `volume` here (a member takes `path: FOLDER`, a standby also `volume: NAME`), or `storage: shared`',
      }];
    }
    if (group.storage === 'shared' && group.volume === null) {
      const hint = volumes.length === 0 ? '`volume: main`, and at the top `volumes: { main: ./volume }`' : `\`volume: ${volumes[0]}\``;
      return [{ path: at, at: 'key', message: `group \`${group.name}\` has shared storage and no volume`, expected: `${hint}; or \`storage: local\`` }];
    }
    if (group.volume !== null && !Object.hasOwn(spec.volumes, group.volume)) return [unknownVolume([...at, 'volume'], group.volume, volumes)];
    return [];
  });
}

const unknownVolume = (path: string[], name: string, volumes: string[]): Problem => ({
  path, at: 'value', message: `there is no volume \`${name}\``, expected: oneOf(name, volumes, `at the top: \`volumes: { ${name}: ./volume }\``),
});

/** A member's own `volume` and `path`. */
function checkOwnStorage({ spec, sound }: Subject): Problem[] {
  const volumes = Object.keys(spec.volumes);
  return Object.values(spec.groups).flatMap((group) => Object.values(group.members).flatMap((member): Problem[] => {
    const at = ['groups', group.name, 'members', member.name];
    if (!sound(...at, 'role') || !sound('groups', group.name, 'storage')) return [];
    const problems: Problem[] = [];
    if (member.volume !== null && sound(...at, 'volume')) {
      if (member.role !== 'standby') problems.push({ path: [...at, 'volume'], at: 'key', message: `\`${member.name}\` is a ${member.role}, and only a standby has a volume of its own`, expected: insteadOfVolume(group, member) });
      else if (!Object.hasOwn(spec.volumes, member.volume)) problems.push(unknownVolume([...at, 'volume'], member.volume, volumes));
    }
    if (member.path !== null && sound(...at, 'path')) {
      if (member.volume !== null) problems.push({ path: [...at, 'path'], at: 'key', message: `\`${member.name}\` has a \`volume\` and a \`path\``, expected: 'one of the two' });
      else if (group.storage === 'shared' && (member.role === 'primary' || member.role === 'replica')) {
        problems.push({
          path: [...at, 'path'], at: 'key', message: `\`${member.name}\` lives on the volume of group \`${group.name}\`, as every ${member.role} of a group with shared storage does`,
          expected: 'no `path`; or `role: standby`, which has storage of its own; or `storage: local` for the group',
        });
      }
    }
    return problems;
  }));
}

function insteadOfVolume(group: GroupSpec, member: MemberSpec): string {
  if (group.storage === 'local' || member.role === 'logger') return '`path: FOLDER`, or neither: then it lives in the home of its agent';
  return 'the `volume` of the group alone, or `role: standby`';
}

/** Two members on one machine in the same folder, one in the other, or in a volume. */
function checkFolders({ spec, sound }: Subject): Problem[] {
  const taken: { machine: string; folder: string; who: string }[] = [];
  return membersOf(spec).flatMap(({ path, member }): Problem[] => {
    const host = Object.hasOwn(spec.hosts, member.host) ? spec.hosts[member.host] : undefined;
    if (member.path === null || host === undefined || !sound(...path, 'path')) return [];
    const folder = member.path;
    const at = [...path, 'path'];
    const volume = Object.values(spec.volumes).find((one) => holds(one.path, folder) || holds(folder, one.path));
    if (volume !== undefined) return [{ path: at, at: 'value', message: `${folder} and the folder of volume \`${volume.name}\` lie in one another`, expected: 'a folder of its own' }];
    const machine = machineOf(host.address);
    const other = taken.find((one) => one.machine === machine && (holds(one.folder, folder) || holds(folder, one.folder)));
    taken.push({ machine, folder, who: member.name });
    if (other === undefined) return [];
    const how = other.folder === folder ? `is the folder of member \`${other.who}\` too` : `and the folder of member \`${other.who}\` lie in one another`;
    return [{ path: at, at: 'value', message: `${folder} ${how}`, expected: 'a folder of its own: no other member may write there' }];
  });
}

const holds = (outer: string, inner: string): boolean => !/^\.\.(?:\/|$)/.test(relative(outer, inner));

/** Hosts with the same key are one machine for certain. */
function machineOf(address: string): string {
  return /^127\.|^::1$|^localhost\.?$/i.test(address) ? 'this machine' : address.toLowerCase().replace(/\.$/, '');
}
