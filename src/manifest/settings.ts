/** The `settings` of groups: one spelling a name, values that a file can hold, and what the engine allows. */
import { checkSetting as engineCheck } from '../engine/settings.ts';
import type { ClusterSpec } from '../group/model.ts';
import { SETTING_NAME } from './names.ts';
import type { Problem } from './problem.ts';
import { valueAt } from './value.ts';
import { describe } from './words.ts';

/** What the engine says of one setting, `reason` read after a colon; `major` is null where the version is not known yet. */
export type CheckSetting = (name: string, value: string, major: number | null) => { ok: true } | { ok: false; reason: string; instead: string };

/** The engine's own rules. While the version is unknown none counts that only some versions have: the member's start checks again. */
export const ENGINE_CHECK: CheckSetting = (name, value, major) => engineCheck(name, value, major ?? 0);

interface Subject {
  spec: ClusterSpec;
  raw: unknown;
  sound: (...path: string[]) => boolean;
  checkSetting: CheckSetting;
}

/** One problem for each setting that is written twice, cannot be written to a file or is refused by the engine. */
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
      if (/\p{Cc}/u.test(value)) {
        problems.push({ path, at: 'value', message: `the value of \`${name}\` has a line break or another control character`, expected: 'one line of text' });
        continue;
      }
      const verdict = checkSetting(plain, value, spec.engine.version);
      if (!verdict.ok) problems.push({ path, at: 'value', message: `\`${name}\` cannot be ${describe(value)}: ${verdict.reason}`, expected: verdict.instead });
    }
  }
  return problems;
}
