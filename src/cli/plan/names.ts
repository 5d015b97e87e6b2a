/** Which names, hosts and members a change of size takes. Pure. */
import { PgorbitError } from '../../errors.ts';
import type { ClusterSpec, GroupSpec } from '../../group/model.ts';

/** `n1`, `n2`, …: the first that no member of any group bears, so that `--member` is never in doubt. */
export function nextName(spec: ClusterSpec, taken: readonly string[] = []): string {
  const used = new Set([...Object.values(spec.groups).flatMap((group) => Object.keys(group.members)), ...taken]);
  let number = 1;
  while (used.has(`n${number}`)) number += 1;
  return `n${number}`;
}

/** The host with the fewest members of the group, then the fewest members at all, then the first in the manifest. */
export function nextHost(spec: ClusterSpec, group: GroupSpec, added: readonly string[] = []): string {
  const everywhere = [...Object.values(spec.groups).flatMap((other) => Object.values(other.members).map((member) => member.host)), ...added];
  const here = [...Object.values(group.members).map((member) => member.host), ...added];
  const count = (hosts: readonly string[], name: string): number => hosts.filter((host) => host === name).length;
  const ranked = Object.keys(spec.hosts)
    .map((name, order) => ({ name, order, here: count(here, name), everywhere: count(everywhere, name) }))
    .sort((a, b) => a.here - b.here || a.everywhere - b.everywhere || a.order - b.order);
  const best = ranked[0];
  if (best === undefined) throw new PgorbitError('no-such-host', `cluster ${spec.cluster} has no host`);
  return best.name;
}

/** A replica to be made. */
export interface NewReplica {
  name: string;
  host: string;
}

/** What `scale` does: replicas to add, or names to remove. */
export type ScalePlan = { add: NewReplica[]; remove: [] } | { add: []; remove: string[] };

/**
 * From the replicas that there are to `wanted` of them. New ones are spread over the hosts; those that go are the
 * unhealthy ones first, then those on the fullest host, then the latest in the manifest, and never the primary:
 * after a failover any member may be it, so `primary` says who it is now.
 */
export function planScale(
  spec: ClusterSpec,
  group: GroupSpec,
  wanted: number,
  now: { primary: string | null; unhealthy: readonly string[] },
): ScalePlan {
  const replicas = dataMembers(group).filter((name) => name !== (now.primary ?? primaryOf(group)));
  if (wanted >= replicas.length) {
    const add: NewReplica[] = [];
    while (replicas.length + add.length < wanted) {
      add.push({ name: nextName(spec, add.map((one) => one.name)), host: nextHost(spec, group, add.map((one) => one.host)) });
    }
    return { add, remove: [] };
  }
  const remove: string[] = [];
  const left = new Set(replicas);
  const onHost = (host: string | undefined): number => [...left].filter((name) => group.members[name]?.host === host).length;
  while (left.size > wanted) {
    const ranked = [...left].sort((a, b) => {
      const sick = Number(now.unhealthy.includes(b)) - Number(now.unhealthy.includes(a));
      const full = onHost(group.members[b]?.host) - onHost(group.members[a]?.host);
      return sick || full || replicas.indexOf(b) - replicas.indexOf(a);
    });
    const gone = ranked[0] as string;
    left.delete(gone);
    remove.push(gone);
  }
  return { add: [], remove };
}

/** The members that hold data: a primary and replicas, in the manifest's order. */
export function dataMembers(group: GroupSpec): string[] {
  return Object.values(group.members).filter((member) => member.role === 'primary' || member.role === 'replica').map((member) => member.name);
}

/** Who the manifest says is the primary, or null. */
export function primaryOf(group: GroupSpec): string | null {
  return Object.values(group.members).find((member) => member.role === 'primary')?.name ?? null;
}

/** The group that is meant: the one named, or the only one. Throws `usage` or `no-such-group`. */
export function chooseGroup(names: readonly string[], wanted: string | undefined): string {
  if (wanted !== undefined) {
    if (names.includes(wanted)) return wanted;
    throw new PgorbitError('no-such-group', `there is no group ${JSON.stringify(wanted)}`, { hint: `the groups are: ${names.join(', ')}` });
  }
  const [only, ...more] = names;
  if (only === undefined) throw new PgorbitError('no-such-group', 'the cluster has no group');
  if (more.length > 0) throw new PgorbitError('usage', `the cluster has ${names.length} groups, and none was named`, { hint: `add --group, one of: ${names.join(', ')}` });
  return only;
}

/** The member that is meant, `name` or `group/name`. Throws `no-such-member`, or `usage` when two groups have one. */
export function chooseMember<G extends { name: string; members: readonly { name: string }[] }>(groups: readonly G[], wanted: string): { group: G; member: G['members'][number] } {
  const [first, second] = wanted.split('/', 2) as [string, string | undefined];
  const found = groups
    .filter((group) => second === undefined || group.name === first)
    .flatMap((group) => group.members.filter((member) => member.name === (second ?? first)).map((member) => ({ group, member })));
  const [only, ...more] = found;
  if (only === undefined) {
    const all = groups.flatMap((group) => group.members.map((member) => (groups.length > 1 ? `${group.name}/${member.name}` : member.name)));
    throw new PgorbitError('no-such-member', `there is no member ${JSON.stringify(wanted)}`, { hint: all.length > 0 ? `the members are: ${all.join(', ')}` : 'see `pgorbit status`' });
  }
  if (more.length > 0) throw new PgorbitError('usage', `several groups have a member ${JSON.stringify(wanted)}`, { hint: `say which: ${found.map((one) => `${one.group.name}/${wanted}`).join(' or ')}` });
  return only;
}
