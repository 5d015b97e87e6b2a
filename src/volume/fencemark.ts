/**
 * The fence mark: a file in a member's folder that says "term N took over from this data directory". Whoever wants
 * to start PostgreSQL there looks for it first, and does not start.
 */
import { join } from 'node:path';
import { PgorbitError } from '../errors.ts';
import { readText, writeDurably } from '../durable.ts';

export const FENCE_FILE = 'fenced';

/** Marks the folder as fenced by `term`. A mark is never lowered and never lifted: the folder is replaced. */
export async function setFenced(dir: string, term: number): Promise<void> {
  const before = await readFenced(dir);
  if (before !== null && before >= term) return;
  await writeDurably(join(dir, FENCE_FILE), `${JSON.stringify({ term })}\n`, { mode: 0o644 });
}

/**
 * The term that fenced the folder, or null. A mark that cannot be read still fences (as the highest term): when in
 * doubt, PostgreSQL stays down.
 */
export async function readFenced(dir: string): Promise<number | null> {
  const text = await readText(join(dir, FENCE_FILE));
  return text === null ? null : parseFence(text);
}

/** @throws `fenced` where the folder bears the mark. */
export async function requireUnfenced(dir: string): Promise<void> {
  const term = await readFenced(dir);
  if (term === null) return;
  throw new PgorbitError('fenced', `${dir} was fenced by term ${term}: PostgreSQL must not start on it again`, {
    hint: 'it returns by a new clone, which pgorbit makes by itself while the group has a primary',
  });
}

function parseFence(text: string): number {
  try {
    const { term } = JSON.parse(text) as { term?: unknown };
    return typeof term === 'number' ? term : Number.MAX_SAFE_INTEGER;
  } catch {
    return Number.MAX_SAFE_INTEGER;
  }
}
