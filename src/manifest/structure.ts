/** What zod finds wrong with a manifest's form, in words: one problem a mistake, the union's branch that was meant. */
import type { z } from 'zod';
import type { Problem } from './problem.ts';
import { ManifestSchema } from './schema.ts';
import { valueAt } from './value.ts';
import { closest, describe, oneOf } from './words.ts';

type Issue = z.core.$ZodIssue;

/** Every mistake of form in what a YAML document holds. */
export function checkStructure(raw: unknown): Problem[] {
  const result = ManifestSchema.safeParse(raw);
  if (result.success) return [];
  const problems = result.error.issues.flatMap((issue) => problemsOf(issue, [], raw));
  // A key that is missing because it is misspelt is one mistake.
  const meant = new Set(problems.flatMap((p) => (p.meant === undefined ? [] : [JSON.stringify([...p.path.slice(0, -1), p.meant])])));
  return problems.filter((p) => !(meant.has(JSON.stringify(p.path)) && valueAt(raw, p.path) === undefined));
}

function problemsOf(issue: Issue, base: (string | number)[], raw: unknown): Problem[] {
  const path = [...base, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
  const value = valueAt(raw, path);
  const name = path.length === 0 ? 'the manifest' : `\`${path.at(-1)}\``;
  switch (issue.code) {
    case 'invalid_union': {
      const meant = issue.errors.find((branch) => branch.every((i) => !(i.code === 'invalid_type' && i.path.length === 0)));
      return meant?.flatMap((i) => problemsOf(i, path, raw)) ?? [{ path, at: 'value', ...mismatch(name, value, issue.message) }];
    }
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...path, key], at: 'key', message: `unknown key \`${key}\`${path.length === 0 ? '' : ` in ${name}`}`,
        expected: oneOf(key, issue.message.split(' '), ''), meant: closest(key, issue.message.split(' ')),
      }));
    case 'invalid_value':
      if (typeof value === 'string') {
        return [{ path, at: 'value', message: `${name} cannot be ${describe(value)}`, expected: oneOf(value, issue.values.map(String), issue.message) }];
      }
      return [{ path, at: 'value', ...mismatch(name, value, `one of ${issue.values.map((v) => `\`${String(v)}\``).join(', ')}`) }];
    case 'custom': {
      const words = issue.params?.['words'] as string[] | undefined;
      if (!words) return [{ path, at: 'value', message: `${name} cannot be ${describe(value)}`, expected: issue.message }];
      const near = closest(String(value), issue.params?.['known'] as string[]);
      const list = `one of ${words.map((w) => `\`${w}\``).join(', ')}`;
      return [{ path, at: 'value', message: `no role is called ${describe(value)}`, expected: near ? `did you mean \`${near}\`? (${list})` : list }];
    }
    default:
      return [{ path, at: 'value', ...mismatch(name, value, issue.message) }];
  }
}

function mismatch(name: string, value: unknown, expected: string): { message: string; expected: string } {
  if (value === undefined) return { message: `${name} is missing`, expected };
  if (value === null) return { message: `${name} is empty`, expected };
  const quoted = typeof value === 'string' && /^\d+$/.test(value) && expected.includes('port') ? ', without quotes' : '';
  return { message: `${name} cannot be ${describe(value)}`, expected: expected + quoted };
}
