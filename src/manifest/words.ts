/** The words that a manifest may use, and how messages speak of what was written. */
import type { Role } from '../group/model.ts';

/** Every word for a role, lower case: pgorbit's own first, then those of PolarDB and its kin. */
export const ROLE_WORDS: Readonly<Record<string, Role>> = {
  primary: 'primary',
  replica: 'replica',
  logger: 'logger',
  standby: 'standby',
  rw: 'primary',
  leader: 'primary',
  master: 'primary',
  ro: 'replica',
  follower: 'replica',
  slave: 'replica',
  learner: 'standby',
  datamax: 'logger',
  witness: 'logger',
};

/** What is no folder, by the rule of openNamed (src/backup/open-store.ts). */
export const OBJECT_STORE = /^[a-z][a-z0-9+]*:\/\//i;

/** The role that a word stands for, in any case of letters; undefined when it stands for none. */
export function roleOf(word: string): Role | undefined {
  const lower = word.toLowerCase();
  return Object.hasOwn(ROLE_WORDS, lower) ? ROLE_WORDS[lower] : undefined;
}

/** Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`: optimal string alignment. */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      row.push(best);
    }
    before = above;
    above = row;
  }
  return above[b.length]!;
}

/** The candidate that was probably meant, or undefined when none is near: at most a third of the letters differ. */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  let best: string | undefined;
  let least = Math.floor(word.length / 3) + 0.5;
  for (const candidate of candidates) {
    const d = distance(lower, candidate.toLowerCase());
    if (d < least) {
      best = candidate;
      least = d;
    }
  }
  return best;
}

/** `did you mean `x`? ` before a list of what there is, or the list alone. */
export function oneOf(word: string, candidates: readonly string[], none: string): string {
  if (candidates.length === 0) return none;
  const near = closest(word, candidates);
  const list = candidates.length === 1 ? `\`${candidates[0]}\`` : `one of ${candidates.map((c) => `\`${c}\``).join(', ')}`;
  return near === undefined ? list : candidates.length === 1 ? `did you mean \`${near}\`?` : `did you mean \`${near}\`? (${list})`;
}

/** A value as a message names it: short, on one line. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return value === '' ? 'empty text' : JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  return String(value);
}
