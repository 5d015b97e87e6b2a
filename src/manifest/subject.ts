import type { ClusterSpec, GroupSpec } from '../group/model.ts';
import type { CheckSetting } from './settings.ts';

/** What a check looks at. */
export interface Subject {
  spec: ClusterSpec;
  /** The same as written, to tell what was said from what was filled in. */
  raw: unknown;
  /** False where the form at a path, or of what holds it, is wrong already. */
  sound: (...path: string[]) => boolean;
  checkSetting: CheckSetting;
}

/** Every member with its path in the manifest. */
export function membersOf(spec: ClusterSpec): { path: string[]; member: GroupSpec['members'][string] }[] {
  return Object.values(spec.groups).flatMap((group) =>
    Object.values(group.members).map((member) => ({ path: ['groups', group.name, 'members', member.name], member })));
}
