/** What goes wrong. Each seed draws its own mix and pace, so that rare faults also come in crowds. */
import type { Prng } from './prng.ts';
import { HOSTS, type World } from './world.ts';

type Fault = (world: World, random: Prng) => void;

const FAULTS: Record<string, Fault> = {
  'kill-primary': (world) => {
    for (const server of world.volume.servers.filter(({ open }) => open)) kill(world, server);
  },
  'kill-any': (world, random) => {
    const { servers } = world.volume;
    if (servers.length > 0) kill(world, random.pick(servers));
  },
  'crash-agent': (world, random) => crashAgent(world, random, random.pick(HOSTS)),
  'freeze-agent': (world, random) => freezeAgent(world, random, random.pick(HOSTS)),
  // A host's power: agent and servers at once.
  'crash-host': (world, random) => {
    const host = random.pick(HOSTS);
    const { runners } = world.agents.get(host)!;
    for (const server of world.volume.servers.filter(({ member }) => runners.has(member))) kill(world, server);
    crashAgent(world, random, host);
  },
  'cut-link': (world, random) => {
    const host = random.pick(HOSTS);
    cutOff(world, host, random.int(200, 12_000));
  },
  // WAL that a standby still needs is recycled.
  'wal-gone': (world) => {
    for (const server of world.volume.servers) if (server.open) server.data.oldest = server.data.wal.length;
  },
  'start-fails': (world, random) => troubled(world, random, world.startsFail),
  'clone-fails': (world, random) => troubled(world, random, world.clonesFail),
  'report-trouble': (world, random) => {
    world.troubledReports = random.pick([0.05, 0.3, 0.8]);
    world.clock.after(random.int(500, 8_000), () => {
      world.troubledReports = 0;
    });
  },
  'space-used': (world, random) => {
    const member = random.pick(Object.keys(world.store.documents.spec.value.members));
    world.shares[member] = random.chance(0.5) ? 0.9 : 0;
  },
};

export class Faults {
  readonly #world: World;
  readonly #random: Prng;
  #on = true;

  /** @param freezeWish the step in which agents freeze; null: as the seed has it. */
  constructor(world: World, random: Prng, freezeWish: 'start' | 'take-over' | null) {
    this.#world = world;
    this.#random = random;
    const mix = Object.keys(FAULTS).filter(() => random.chance(0.6)).map((name) => [random.gap(1), name] as const);
    const mean = random.pick([400, 1_500, 4_000]);
    const hazard = random.pick([0, 0.01, 0.06]);
    const strike = (): void => {
      if (!this.#on || mix.length === 0) return;
      FAULTS[random.weighted(mix)]!(world, random);
      world.clock.after(random.gap(mean), strike);
    };
    world.clock.after(random.gap(mean), strike);
    // The classic: an agent that stands still between its last look and the deed, and comes back with old orders.
    const drawn = random.pick([null, null, 'start', 'take-over']);
    const freezeIn = freezeWish ?? drawn;
    world.hazard = (agent, member, step) => {
      if (this.#on && step.do === freezeIn && !('as' in step && step.as === 'standby') && random.chance(0.5)) {
        world.clock.after(random.int(0, 40), () => standStill(world, random, agent.name));
      } else if (this.#on && random.chance(hazard)) world.clock.after(random.int(0, 120), () => this.#strikeStep(agent.name, member));
    };
  }

  /** No further faults, and what is broken is mended. */
  stop(): void {
    const world = this.#world;
    this.#on = false;
    world.cut.clear();
    world.startsFail.clear();
    world.clonesFail.clear();
    world.troubledReports = 0;
    for (const name of Object.keys(world.shares)) world.shares[name] = 0;
    for (const host of HOSTS) {
      world.agents.get(host)?.process.thaw();
      world.startAgent(host);
    }
  }

  #strikeStep(host: string, member: string): void {
    const random = this.#random;
    if (!this.#on) return;
    const server = this.#world.volume.servers.find((one) => one.member === member);
    const what = random.int(0, 3);
    if (what === 0 && server !== undefined) kill(this.#world, server);
    else if (what === 1) crashAgent(this.#world, random, host);
    else freezeAgent(this.#world, random, host);
  }
}

function kill(world: World, server: World['volume']['servers'][number]): void {
  world.trace(() => `fault: kill -9 of ${server.member}'s postgres ${server.pid}`);
  server.kill();
}

function crashAgent(world: World, random: Prng, host: string): void {
  const agent = world.agents.get(host);
  if (agent === undefined || !agent.process.alive) return;
  world.trace(() => `fault: the agent of ${host} crashes`);
  agent.process.kill();
  world.clock.after(random.chance(0.2) ? random.int(2_000, 25_000) : random.int(50, 1_000), () => world.startAgent(host));
}

function freezeAgent(world: World, random: Prng, host: string, ms = random.chance(0.4) ? random.int(4_000, 45_000) : random.int(50, 2_000)): void {
  const process = world.agents.get(host)?.process;
  if (process === undefined || !process.alive || process.frozen) return;
  world.trace(() => `fault: the agent of ${host} is frozen`);
  process.freeze();
  world.clock.after(ms, () => {
    if (process.frozen) world.trace(() => `the agent of ${host} goes on`);
    process.thaw();
  });
}

/** A machine that is paused comes back before its network does: its agent goes on by its old orders for a while. */
function standStill(world: World, random: Prng, host: string): void {
  const ms = random.int(3_500, 25_000);
  freezeAgent(world, random, host, ms);
  if (random.chance(0.5)) cutOff(world, host, ms + random.int(100, 5_000));
}

function cutOff(world: World, host: string, ms: number): void {
  world.cut.add(host);
  world.trace(() => `fault: ${host} is cut off`);
  world.clock.after(ms, () => world.cut.delete(host));
}

function troubled(world: World, random: Prng, members: Set<string>): void {
  const member = random.pick(Object.keys(world.store.documents.spec.value.members));
  members.add(member);
  world.trace(() => `fault: ${members === world.startsFail ? 'starts' : 'clones'} of ${member} fail`);
  world.clock.after(random.int(500, 15_000), () => members.delete(member));
}
