/** Folders whose maker was killed before it could clean up: the next one does it. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identify, isAlive, type ProcessId } from '../../src/engine/proc.ts';
import { clearLeftovers } from './leftovers.ts';

/** Short: socket paths have 107 bytes. */
export const PREFIX = 'pgorbit-t-';
export const OWNER_FILE = 'owner.json';

/** What a maker writes into its folder: who it is. */
export const ownerText = (): string => JSON.stringify(identify(process.pid));

/** Clears the folders in `parent` whose owner no longer lives. A folder without an owner is left alone. */
export async function sweepStale(parent: string = tmpdir()): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(parent, name);
    const text = await readFile(join(folder, OWNER_FILE), 'utf8').catch(() => null);
    if (text === null) continue;
    const owner = JSON.parse(text) as ProcessId | null;
    if (owner !== null && isAlive(owner)) continue;
    await clearLeftovers(folder);
    await rm(folder, { recursive: true, force: true });
  }
}
