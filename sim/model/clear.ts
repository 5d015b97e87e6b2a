/** Taking a member's data away: aside when they will be made anew, for good when the member goes. */
import type { Work } from '../kernel/process.ts';
import { sleep } from '../kernel/process.ts';
import { StepError } from '../kernel/violation.ts';
import { ASIDE } from '../world/disks.ts';
import type { World } from '../world/world.ts';

const pause = (world: World, most: number): Work => sleep(world.random.int(0, most));

export function* setAside(world: World, name: string): Work {
  const { disks, invariants } = world;
  yield* pause(world, 4);
  const folder = disks.folders.get(name);
  if (folder === undefined) return;
  if (folder.marker.incarnation === 0) {
    invariants.deleted(folder, `${name}, half made,`);
    disks.folders.delete(name);
    return;
  }
  const aside = `${name}${ASIDE}${folder.marker.incarnation}`;
  const before = disks.folders.get(aside);
  if (before !== undefined) invariants.deleted(before, aside);
  disks.folders.delete(aside);
  yield* pause(world, 4);
  if (disks.serverIn(folder) !== undefined) throw new StepError('internal', `${name} runs while its folder is moved`);
  disks.folders.delete(name);
  disks.folders.set(aside, folder);
}

/** To be called when the member streams again, or is the primary. */
export function dropAside(world: World, member: string): void {
  const { disks, invariants } = world;
  const prefix = `${member}${ASIDE}`;
  for (const [name, folder] of disks.folders) {
    if (!name.startsWith(prefix)) continue;
    invariants.deleted(folder, name);
    disks.folders.delete(name);
  }
}

export interface Removal {
  name: string;
  /** Who removes it. */
  host: string;
  /** Whether its process still is there. */
  runs: () => boolean;
}

export function* remove(world: World, { name, host, runs }: Removal): Work {
  const { disks, invariants, rules, spec } = world;
  yield* pause(world, 20);
  if (runs()) throw new StepError('internal', `${name} still runs`);
  const folder = disks.folderOf(name, spec.storage === 'local' ? host : null);
  if (folder !== undefined) {
    const user = disks.usedFrom(folder);
    if (rules.sparesUsed && user !== null && user !== host) throw new StepError('locked', `${name}'s folder is in use from ${user}`);
    invariants.removed(folder, name, host);
    disks.folders.delete(name);
  }
  dropAside(world, name);
  yield* pause(world, 20);
  disks.removeHome(name, host);
  disks.cgroups.delete(name);
}
