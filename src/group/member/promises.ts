/** What a member has promised: a small durable file outside its data, which outlives every renewal of them. */
import { join } from 'node:path';
import { readText, writeDurably } from '../../durable.ts';
import { PgorbitError } from '../../errors.ts';

export interface PromiseFile {
  /** Nothing of a lower term is acknowledged or obeyed any more. */
  term: number;
  /** What the member had when no such acknowledgement could leave any more; null until that has been read. */
  position: { timeline: number; lsn: string } | null;
}

export const promiseFile = (homeDir: string): string => join(homeDir, 'promised.json');

/** @throws `state-corrupt`: to go on as if nothing had been promised could lose what others rely on. */
export async function readPromise(homeDir: string): Promise<PromiseFile> {
  const text = await readText(promiseFile(homeDir));
  if (text === null) return { term: 0, position: null };
  try {
    const { term, position } = JSON.parse(text) as PromiseFile;
    if (Number.isSafeInteger(term)) return { term, position: position ?? null };
  } catch {
    // Falls through: the file was written whole or not at all, so this is damage.
  }
  throw new PgorbitError('state-corrupt', `${promiseFile(homeDir)} is damaged: what this member has promised is not known`, { hint: 'remove the member and add it again' });
}

export async function savePromise(homeDir: string, promise: PromiseFile): Promise<void> {
  await writeDurably(promiseFile(homeDir), `${JSON.stringify(promise)}\n`);
}
