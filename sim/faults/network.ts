/** Faults of the network: partitions of all shapes, and messages that are lost, late or doubled. */
import type { Prng } from '../kernel/prng.ts';
import { CLIENT_HOST, type World } from '../world/world.ts';
import type { Fault } from './fault.ts';

export const NETWORK_FAULTS: Record<string, Fault> = {
  'isolate': (world, random) => isolate(world, random.pick(world.hosts), random.int(200, 12_000)),
  'isolate-primary': (world, random) => {
    const server = world.disks.servers.find(({ open }) => open);
    if (server !== undefined) isolate(world, server.host, random.int(1_000, 15_000));
  },
  'isolate-leader': (world, random) => {
    const agent = world.leader();
    if (agent !== undefined) isolate(world, agent.host, random.int(500, 8_000));
  },
  // Into two halves, or just between two hosts; both ways, or one.
  'split': (world, random) => {
    const all = [...world.hosts, CLIENT_HOST];
    const side = all.filter(() => random.chance(0.4));
    cutBetween(world, random, side, all.filter((host) => !side.includes(host)));
  },
  'cut-link': (world, random) => cutBetween(world, random, [random.pick(world.hosts)], [random.pick(world.hosts)]),
  'lose-messages': (world, random) => {
    const { network } = world;
    network.trouble = random.pick([0.05, 0.3, 0.8]);
    world.trace(() => `fault: ${network.trouble * 100} % of all messages are lost, late or doubled`);
    world.clock.after(random.int(500, 8_000), () => {
      network.trouble = 0;
    });
  },
};

/** Nothing comes or goes, not even to clients on other hosts. */
export function isolate(world: World, host: string, ms: number): void {
  const others = [...world.hosts, CLIENT_HOST].filter((other) => other !== host);
  world.trace(() => `fault: ${host} is cut off`);
  for (const other of others) {
    world.network.cut(host, other);
    world.network.cut(other, host);
  }
  world.clock.after(ms, () => {
    for (const other of others) {
      world.network.mend(host, other);
      world.network.mend(other, host);
    }
  });
}

function cutBetween(world: World, random: Prng, some: readonly string[], others: readonly string[]): void {
  const ways = random.pick(['both', 'there', 'back']);
  const pairs = some.flatMap((one) => others.flatMap((other): [string, string][] => [...(ways === 'back' ? [] : [[one, other] as [string, string]]), ...(ways === 'there' ? [] : [[other, one] as [string, string]])]));
  world.trace(() => `fault: nothing passes from ${pairs.map(([from, to]) => `${from} to ${to}`).join(', ') || 'nobody'}`);
  for (const [from, to] of pairs) world.network.cut(from, to);
  world.clock.after(random.int(200, 12_000), () => {
    for (const [from, to] of pairs) world.network.mend(from, to);
  });
}
