/** Reading, changing and writing a document of the state store, again and again until nobody came in between. */
import { PgorbitError } from '../errors.ts';
import type { StateStore } from './store.ts';

const TRIES = 5;

/**
 * Writes what `edit` makes of the document (null: there is none). The same value back changes nothing.
 * @throws what `edit` throws; PgorbitError `state-conflict` when the document keeps changing.
 */
export async function changeDocument<T>(store: Pick<StateStore, 'read' | 'compareAndSet'>, key: string, edit: (value: T | null) => T | null): Promise<T | null> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const current = await store.read(key);
    const before = (current?.value ?? null) as T | null;
    const after = edit(before);
    if (after === before) return before;
    const written = await store.compareAndSet(key, current?.revision ?? 0, after);
    if (written.ok) return after;
  }
  throw new PgorbitError('state-conflict', `the document ${key} keeps changing`, { hint: 'try again in a moment' });
}
