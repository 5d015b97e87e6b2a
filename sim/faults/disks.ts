/** Faults of disks: full, slow, WAL that is recycled too early, starts and copies that fail. */
import type { Prng } from '../kernel/prng.ts';
import { segmentStart } from '../model/wal.ts';
import type { World } from '../world/world.ts';
import type { Fault } from './fault.ts';

const member = (world: World, random: Prng): string => random.pick(Object.keys(world.spec.members));

function troubled(world: World, random: Prng, set: Set<string>, name: string, what: string): void {
  set.add(name);
  world.trace(() => `fault: ${name}: ${what}`);
  world.clock.after(random.int(500, 15_000), () => set.delete(name));
}

export const DISK_FAULTS: Record<string, Fault> = {
  // WAL that a standby still needs is recycled.
  'wal-gone': (world) => {
    for (const server of world.disks.servers) if (server.open) server.data.oldest = segmentStart(server.data.flushed);
  },
  'start-fails': (world, random) => troubled(world, random, world.startsFail, member(world, random), 'it cannot be started'),
  'copy-fails': (world, random) => troubled(world, random, world.copiesFail, member(world, random), 'it cannot be copied'),
  'disk-slow': (world, random) => troubled(world, random, world.slow, random.pick(world.hosts), 'its disk is slow'),
  // All but the primary's, which waits for none of them.
  'disks-slow': (world, random) => {
    const primary = world.disks.servers.find(({ open }) => open)?.host;
    for (const host of world.hosts) if (host !== primary) troubled(world, random, world.slow, host, 'its disk is slow');
  },
  'disk-full': (world, random) => {
    const loggers = Object.values(world.spec.members).filter(({ role }) => role === 'logger');
    if (loggers.length > 0) troubled(world, random, world.disksFull, random.pick(loggers).name, 'its disk is full');
  },
  'space-used': (world, random) => {
    world.shares[member(world, random)] = random.chance(0.5) ? 0.9 : 0;
  },
};
