/** Folders whose maker was killed before it could clean up: the next one does it. */
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identify, isAlive, type ProcessId } from '../../src/engine/proc.ts';
import { clearLeftovers, endAgents } from './leftovers.ts';

/** Short: socket paths have 107 bytes. */
export const PREFIX = 'pgorbit-t-';
export const OWNER_FILE = 'owner.json';

/** What a maker writes into its folder: who it is. */
export const ownerText = (): string => JSON.stringify(identify(process.pid));

/** A new folder that everybody may enter, and that sweepStale() clears should its maker be killed. */
export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), PREFIX));
  await chmod(folder, 0o755);
  await writeFile(join(folder, OWNER_FILE), ownerText());
  return folder;
}

/**
 * Clears the folders in `parent` whose owner no longer lives. A folder without an owner is left alone. Agents of all of
 * them end before the first is cleared: they would start again what lies on a volume in another folder.
 */
export async function sweepStale(parent: string = tmpdir()): Promise<void> {
  const stale: string[] = [];
  for (const name of await readdir(parent)) {
    const folder = join(parent, name);
    if (name.startsWith(PREFIX) && (await isAbandoned(folder))) stale.push(folder);
  }
  for (const folder of stale) await endAgents(folder);
  for (const folder of stale) {
    await clearLeftovers(folder);
    await rm(folder, { recursive: true, force: true });
  }
}

async function isAbandoned(folder: string): Promise<boolean> {
  const text = await readFile(join(folder, OWNER_FILE), 'utf8').catch(() => null);
  if (text === null) return false;
  const owner = JSON.parse(text) as ProcessId | null;
  return owner === null || !isAlive(owner);
}
