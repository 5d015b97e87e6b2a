/** Faults that come together as a malicious mind would have them: each is a story in which a rule of the quorum is all that helps. */
import type { Prng } from '../kernel/prng.ts';
import { ModelLogger } from '../model/logger.ts';
import type { Server } from '../model/server.ts';
import { CLIENT_HOST, type World } from '../world/world.ts';
import type { Fault } from './faults.ts';
import { crashHost, freezeAgent } from './hosts.ts';

export const CONSPIRACIES: Record<string, Fault> = {
  // The primary keeps one other host and its clients; that one may go and come back in the middle of it.
  'minority': (world, random) => {
    const server = world.disks.servers.find(({ open }) => open);
    if (server !== undefined) apart(world, random, server);
  },
  // Whoever was superseded and does not know it comes back, and finds a friend and clients.
  'comeback': (world, random) => {
    const term = world.store.documents.record?.value.term ?? 0;
    const server = world.disks.servers.find((one) => one.open && one.folder.marker.term < term);
    if (server === undefined) return;
    wake(world);
    apart(world, random, server);
  },
  // A fuse: several hosts lose their power at the same moment.
  'blackout': (world, random) => {
    const primary = world.disks.servers.find(({ open }) => open)?.host;
    for (const host of world.hosts) if (host === primary ? random.chance(0.8) : random.chance(0.6)) crashHost(world, random, host);
  },
};

function apart(world: World, random: Prng, server: Server): void {
  const friends = world.disks.servers.filter((one) => one.host !== server.host);
  const loggers = friends.filter((one) => one instanceof ModelLogger);
  if (friends.length === 0) return;
  const friend = random.pick(loggers.length > 0 && random.chance(0.5) ? loggers : friends).host;
  // An agent that stands still does not stop its primary.
  if (random.chance(0.5)) freezeAgent(world, random, server.host, random.int(3_000, 10_000));
  if (random.chance(0.5)) world.clock.after(random.int(0, 1_000), () => crashHost(world, random, friend, random.int(200, 3_000)));
  conspire(world, server, friend, random.int(2_500, 9_000));
}

function conspire(world: World, server: Server, friend: string, ms: number): void {
  const side = [server.host, friend, CLIENT_HOST];
  const others = world.hosts.filter((host) => !side.includes(host));
  world.trace(() => `fault: ${side.join(', ')} are apart from the others`);
  for (const one of side) {
    for (const other of others) {
      world.network.cut(one, other);
      world.network.cut(other, one);
    }
  }
  world.clock.after(ms, () => {
    for (const one of side) {
      for (const other of others) {
        world.network.mend(one, other);
        world.network.mend(other, one);
      }
    }
  });
}

/**
 * The voters are being asked to promise. The old primary goes on in just that moment; and one who has promised may lose
 * its power before it hears who was elected, and wake up beside the old primary.
 */
export function atPromises(world: World, random: Prng, old: string): void {
  const server = world.disks.servers.find((one) => one.member === old && !one.inRecovery);
  if (server === undefined) return;
  wake(world);
  freezeAgent(world, random, server.host, random.int(9_000, 18_000));
  const friends = world.disks.servers.filter((one) => one.host !== server.host).map((one) => one.host);
  if (friends.length === 0 || random.chance(0.5)) return;
  const friend = random.pick(friends);
  world.clock.after(random.int(30, 400), () => {
    crashHost(world, random, friend, random.int(50, 1_500));
    // Longer than the old primary holds the slot of one that went without a word.
    conspire(world, server, friend, random.int(7_000, 14_000));
  });
}

/** The primary will stop in a moment, and its successor no longer hears it, for longer than a WAL sender waits: what the others confirm meanwhile, that one lacks. */
export function atSwitchover(world: World, random: Prng, from: string, to: string): void {
  const [old, next] = [from, to].map((name) => world.disks.servers.find(({ member }) => member === name)?.host);
  if (old === undefined || next === undefined || old === next) return;
  world.trace(() => `fault: ${from} and ${to} are apart`);
  for (const [one, other] of [[old, next], [next, old]] as const) {
    world.network.cut(one, other);
    world.clock.after(random.int(5_200, 8_000), () => world.network.mend(one, other));
  }
}

/** All that stand still go on, and all cut links are mended. */
export function wake(world: World): void {
  world.network.mendAll();
  for (const server of world.disks.servers) server.process.thaw();
  for (const agent of world.agents.values()) agent.process.thaw();
}
