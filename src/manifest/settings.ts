/** The `settings` of groups: one spelling a name, values that a file can hold, and what the engine allows. */
import type { ClusterSpec } from '../group/model.ts';
import { SETTING_NAME } from './names.ts';
import { valueAt } from './structure.ts';
import type { Problem } from './structure.ts';

/** What the engine says of one setting; `major` is null where the version is not known yet. */
export type CheckSetting = (name: string, value: string, major: number | null) => { ok: true } | { ok: false; reason: string; instead: string };

interface Subject {
  spec: ClusterSpec;
  raw: unknown;
  sound: (...path: string[]) => boolean;
  checkSetting: CheckSetting;
}

export function checkSettings({ spec, raw, sound, checkSetting }: Subject): Problem[] {
  const problems: Problem[] = [];
  for (const group of Object.values(spec.groups)) {
    const at = ['groups', group.name, 'settings'];
    const written = valueAt(raw, at);
    if (typeof written !== 'object' || written === null || Array.isArray(written)) continue;
    const seen = new Map<string, string>();
    for (const name of Object.keys(written)) {
      const path = [...at, name];
      if (!sound(...path) || !SETTING_NAME.test(name)) continue;
      const plain = name.toLowerCase();
      const other = seen.get(plain);
      if (other !== undefined) {
        problems.push({ path, at: 'key', message: `\`${name}\` and \`${other}\` are the same setting`, expected: 'one of the two' });
        continue;
      }
      seen.set(plain, name);
      const value = group.settings[plain]!;
      // eslint-disable-next-line no-control-regex
      if (/[\u0000-\u001f\u007f]/.test(value)) {
        problems.push({ path, at: 'value', message: `the value of \`${name}\` has a line break or another control character`, expected: 'one line of text' });
        continue;
      }
      const verdict = checkSetting(plain, value, spec.engine.version);
      if (!verdict.ok) problems.push({ path, at: 'value', message: verdict.reason, expected: verdict.instead });
    }
  }
  return problems;
}
