/** Names: those of a manifest's parts, which become folders, slots and application names, and those of settings. */
import type { ClusterSpec } from '../group/model.ts';
import type { Problem } from './problem.ts';
import { valueAt } from './value.ts';

/** With `_` for `-` and a prefix still a slot's name, which PostgreSQL limits to 63 of [a-z0-9_] (replication/slot.c). */
export const NAME = /^[a-z][a-z0-9-]{0,30}$/;
export const NAME_RULE = 'a small letter, then up to 30 small letters, digits and hyphens';

/** As utils/misc/guc-file.l reads one. */
export const SETTING_NAME = /^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)*$/;

/** One problem for each bad name of a host, volume, group, member or setting. */
export function checkNames({ spec, raw }: { spec: ClusterSpec; raw: unknown }): Problem[] {
  const groups = Object.keys(spec.groups);
  const bad = (of: string, path: string[], pattern: RegExp, rule: string): Problem[] => {
    const value = valueAt(raw, path);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
    return Object.keys(value).filter((name) => !pattern.test(name)).map((name) => ({
      path: [...path, name], at: 'key', message: `\`${name}\` is no name for a ${of}`, expected: rule,
    }));
  };
  return [
    ...bad('host', ['hosts'], NAME, NAME_RULE),
    ...bad('volume', ['volumes'], NAME, NAME_RULE),
    ...bad('group', ['groups'], NAME, NAME_RULE),
    ...groups.flatMap((group) => [
      ...bad('member', ['groups', group, 'members'], NAME, NAME_RULE),
      ...bad('setting', ['groups', group, 'settings'], SETTING_NAME, 'the name of a setting as in postgresql.conf'),
    ]),
  ];
}
