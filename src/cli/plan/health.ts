/** When a cluster is what its manifest asks for. Pure. */
import type { GroupStatus, MemberStatus, StatusDocument } from '../../agent/api.ts';
import type { ClusterSpec, Role } from '../../group/model.ts';

/** What is still missing, in words, one a member or group; none: everything is as asked for, and healthy. */
export function missing(status: StatusDocument, spec: ClusterSpec): string[] {
  return Object.values(spec.groups).flatMap((wanted) => {
    const group = status.groups.find((one) => one.name === wanted.name);
    if (group === undefined) return [`group ${wanted.name} is not known yet`];
    const members = Object.values(wanted.members).flatMap((member) => {
      const there = group.members.find((one) => one.name === member.name);
      if (there === undefined) return [`${member.name} is not made yet`];
      if (isUp(there)) return [];
      return [`${member.name} is ${there.state}${there.step === null ? '' : ` (${there.step})`}`];
    });
    const leaving = group.members.filter((member) => wanted.members[member.name] === undefined).map((member) => `${member.name} is being removed`);
    const all = [...members, ...leaving];
    if (all.length > 0) return all;
    return group.state === 'healthy' ? [] : [`group ${wanted.name} is ${group.state}${group.reason === '' ? '' : `: ${group.reason}`}`];
  });
}

/** Does the member do its work? */
export function isUp(member: MemberStatus): boolean {
  return member.role === ('primary' satisfies Role) ? member.state === 'running' : member.state === 'streaming' || member.state === 'running';
}

export function unhealthy(group: GroupStatus): string[] {
  return group.members.filter((member) => !isUp(member)).map((member) => member.name);
}

/** Errors that members report now, as a person reads them. */
export function complaints(status: StatusDocument): string[] {
  return status.groups.flatMap((group) =>
    group.members.flatMap((member) => (member.error === null ? [] : [`${member.name}: ${member.error.message}${member.error.hint === undefined ? '' : ` (${member.error.hint})`}`])),
  );
}

/** Members whose PostgreSQL waits for a restart, and what for. */
export function pendingRestarts(group: GroupStatus): { member: string; settings: string[] }[] {
  return group.members.filter((member) => member.pendingRestart.length > 0).map((member) => ({ member: member.name, settings: member.pendingRestart }));
}
