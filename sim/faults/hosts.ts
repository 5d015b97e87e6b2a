/** Faults of processes and hosts: crashes, losses of power, pauses. */
import type { Prng } from '../kernel/prng.ts';
import { ModelPostgres } from '../model/postgres.ts';
import type { Server } from '../model/server.ts';
import type { World } from '../world/world.ts';
import type { Fault } from './fault.ts';
import { isolate } from './network.ts';

export const HOST_FAULTS: Record<string, Fault> = {
  'kill-primary': (world) => {
    for (const server of world.disks.servers.filter(({ open }) => open)) kill(world, server);
  },
  'kill-any': (world, random) => {
    const { servers } = world.disks;
    if (servers.length > 0) kill(world, random.pick(servers));
  },
  'crash-agent': (world, random) => crashAgent(world, random, random.pick(world.hosts)),
  'freeze-agent': (world, random) => freezeAgent(world, random, random.pick(world.hosts)),
  'crash-host': (world, random) => crashHost(world, random, random.pick(world.hosts)),
  'crash-primary-host': (world, random) => {
    const server = world.disks.servers.find(({ open }) => open);
    if (server !== undefined) crashHost(world, random, server.host);
  },
  'freeze-host': (world, random) => freezeHost(world, random, random.pick(world.hosts)),
  'freeze-primary-host': (world, random) => {
    const server = world.disks.servers.find(({ open }) => open);
    if (server !== undefined) freezeHost(world, random, server.host);
  },
  // Replay waits for a reader's query: then a reload alone does not end the WAL receiver.
  'replay-conflict': (world, random) => {
    for (const server of world.disks.servers) {
      if (server instanceof ModelPostgres && server.inRecovery && random.chance(0.7)) server.pausedUntil = world.clock.now + random.int(500, 8_000);
    }
  },
};

/** A fault that comes later, unless there is peace by then. */
export function later(world: World, ms: number, strike: () => void): void {
  world.clock.after(ms, () => {
    if (world.troubled) strike();
  });
}

export function kill(world: World, server: Server): void {
  world.trace(() => `fault: kill -9 of ${server.member}'s process ${server.pid}`);
  server.kill();
}

export function crashAgent(world: World, random: Prng, host: string): void {
  const agent = world.agents.get(host);
  if (agent === undefined || !agent.process.alive) return;
  world.trace(() => `fault: the agent of ${host} crashes`);
  agent.process.kill();
  world.clock.after(random.chance(0.2) ? random.int(2_000, 25_000) : random.int(50, 1_000), () => world.startAgent(host));
}

/** Agent, servers and everything that was not flushed. */
export function crashHost(world: World, random: Prng, host: string, ms = random.chance(0.3) ? random.int(5_000, 30_000) : random.int(300, 4_000)): void {
  if (world.off.has(host)) return;
  world.trace(() => `fault: ${host} loses its power`);
  world.off.add(host);
  world.agents.get(host)?.process.kill();
  for (const server of world.disks.servers.filter((one) => one.host === host)) {
    if (server.open) server.data.torn = true;
    server.data.clean = false;
    server.exit(true);
  }
  world.disks.losePower(host, random);
  const raft = world.raftDisks.get(host)!;
  raft.committed = raft.committedDurably;
  world.clock.after(ms, () => powerOn(world, host));
}

export function powerOn(world: World, host: string): void {
  if (world.off.delete(host)) world.trace(() => `${host} is on again`);
  world.startAgent(host);
}

export function freezeAgent(world: World, random: Prng, host: string, ms = random.chance(0.4) ? random.int(4_000, 45_000) : random.int(50, 2_000)): void {
  const process = world.agents.get(host)?.process;
  if (process === undefined || !process.alive || process.frozen) return;
  world.trace(() => `fault: the agent of ${host} is frozen`);
  process.freeze();
  world.clock.after(ms, () => {
    if (process.frozen) world.trace(() => `the agent of ${host} goes on`);
    process.thaw();
  });
}

/** A virtual machine that is moved: its agent and all its servers stand still, and go on as if nothing had been. */
export function freezeHost(world: World, random: Prng, host: string, ms = random.chance(0.4) ? random.int(4_000, 20_000) : random.int(50, 3_000)): void {
  const agent = world.agents.get(host)?.process;
  const processes = [...world.disks.servers.filter((one) => one.host === host).map((one) => one.process), ...(agent?.alive ? [agent] : [])];
  world.trace(() => `fault: ${host} stands still`);
  for (const process of processes) process.freeze();
  world.clock.after(ms, () => {
    world.trace(() => `${host} goes on`);
    for (const process of random.chance(0.5) ? processes : processes.toReversed()) process.thaw();
  });
}

/** A machine that is paused comes back before its network does: its agent goes on by its old orders for a while. */
export function standStill(world: World, random: Prng, host: string): void {
  const ms = random.int(3_500, 25_000);
  freezeAgent(world, random, host, ms);
  if (random.chance(0.5)) isolate(world, host, ms + random.int(100, 5_000));
}
