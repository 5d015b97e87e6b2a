import { PgorbitError } from '../../errors.ts';

export interface Assignments {
  group: string | undefined;
  /** A null value goes back to PostgreSQL's default. */
  settings: { name: string; value: string | null }[];
}

/** `[group] name=value …`. Pure. Throws `usage`. */
export function parseAssignments(words: readonly string[]): Assignments {
  const [first = '', ...rest] = words;
  const group = first.includes('=') ? undefined : first;
  const pairs = group === undefined ? words : rest;
  if (pairs.length === 0) throw new PgorbitError('usage', `${JSON.stringify(first)} has no value: a setting is written name=value`, { hint: 'such as: pgorbit set shared_buffers=256MB' });
  const settings = pairs.map((pair) => {
    const match = /^([A-Za-z_][\w.$]*)\s*=(.*)$/s.exec(pair);
    if (match === null) throw new PgorbitError('usage', `${JSON.stringify(pair)} is not name=value`, { hint: 'a value with blanks is quoted for the shell: "name=some value"' });
    const value = (match[2] ?? '').trim();
    return { name: (match[1] ?? '').toLowerCase(), value: value === '' ? null : value };
  });
  const twice = settings.find((one, i) => settings.findIndex((other) => other.name === one.name) !== i);
  if (twice !== undefined) throw new PgorbitError('usage', `${twice.name} is set twice`);
  return { group, settings };
}
