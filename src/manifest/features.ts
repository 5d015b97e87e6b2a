/** What the running version cannot build yet: said at the key that asks for it. */
import type { ClusterSpec } from '../group/model.ts';
import type { Problem } from './problem.ts';
import { valueAt } from './value.ts';
import { INSTEAD } from './supported.ts';
import type { Feature, Supported } from './supported.ts';

/** One problem for each place that asks for a feature without its flag. */
export function checkFeatures({ spec, raw, supported }: { spec: ClusterSpec; raw: unknown; supported: Supported }): Problem[] {
  const wanted: { path: string[]; feature: string }[] = [{ path: ['engine', 'kind'], feature: `kind: ${String(valueAt(raw, ['engine', 'kind']))}` }];
  for (const group of Object.values(spec.groups)) {
    const at = ['groups', group.name];
    wanted.push({ path: [...at, 'storage'], feature: `storage: ${group.storage}` }, { path: [...at, 'commit'], feature: `commit: ${group.commit}` });
    for (const member of Object.values(group.members)) wanted.push({ path: [...at, 'members', member.name, 'role'], feature: `role: ${member.role}` });
  }
  return wanted.flatMap(({ path, feature }) =>
    isFeature(supported, feature) && !supported[feature]
      ? [{ path, at: 'value' as const, message: `\`${feature}\` is not supported yet by this version of pgorbit`, expected: INSTEAD[feature] }]
      : []);
}

const isFeature = (supported: Supported, name: string): name is Feature => Object.hasOwn(supported, name);
