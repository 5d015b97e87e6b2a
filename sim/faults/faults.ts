/** What goes wrong. Each seed draws its own mix and pace, so that rare faults also come in crowds. */
import { unsettled } from '../check/settled.ts';
import type { Prng } from '../kernel/prng.ts';
import type { World } from '../world/world.ts';
import { atPromises, atSwitchover, CONSPIRACIES } from './conspiracies.ts';
import { DISK_FAULTS } from './disks.ts';
import type { Fault } from './fault.ts';
import { HOST_FAULTS, crashAgent, freezeAgent, kill, later, powerOn, standStill } from './hosts.ts';
import { NETWORK_FAULTS } from './network.ts';

export const FAULTS: Record<FaultName, Fault> = { ...HOST_FAULTS, ...NETWORK_FAULTS, ...DISK_FAULTS, ...CONSPIRACIES };

export type FaultName = string;

/** Steps in which agents freeze: between the last look and the deed. */
export type FreezeIn = 'start' | 'take-over' | 'promise';

export class Faults {
  readonly #world: World;
  readonly #random: Prng;
  #on = true;

  /**
   * @param freezeWish the step in which agents freeze; null: as the seed has it.
   * @param only these faults, two at a time, whenever the group is well; null: as the seed has it.
   */
  constructor(world: World, random: Prng, freezeWish: FreezeIn | null, only: readonly FaultName[] | null) {
    this.#world = world;
    this.#random = random;
    const mix = Object.keys(FAULTS).filter(() => random.chance(0.5)).map((name) => [random.gap(1), name] as const);
    const mean = random.pick([400, 1_500, 4_000]);
    const hazard = only === null ? random.pick([0, 0.01, 0.06]) : 0;
    if (only === null) this.#strikeAtRandom(mix, mean);
    else this.#strikeTheWell(only);
    // The classic: an agent that stands still between its last look and the deed, and comes back with old orders.
    const drawn = random.pick<FreezeIn | null>([null, null, 'start', 'take-over', 'promise']);
    const freezeIn = freezeWish ?? drawn;
    const conspires = random.chance(0.2) || only !== null;
    let term = 0;
    let begun = '';
    world.onRecord = (record) => {
      const { promotion, operation } = record;
      if (this.#on && conspires && operation?.kind === 'switchover' && operation.step === 'checkpoint' && operation.id !== begun) {
        begun = operation.id;
        const { from, to } = operation;
        if (random.chance(0.4)) later(world, 0, () => atSwitchover(world, random, from, to));
      }
      if (!this.#on || !conspires || promotion?.phase !== 'promise' || record.term === term) return;
      ({ term } = record);
      const old = promotion.predecessors[0]?.member;
      if (old !== undefined && random.chance(0.6)) later(world, 0, () => atPromises(world, random, old));
    };
    world.hazard = (agent, member, step) => {
      if (this.#on && step.do === freezeIn && step.as !== 'standby' && random.chance(0.5)) {
        later(world, random.int(0, 40), () => standStill(world, random, agent.name));
      } else if (this.#on && random.chance(hazard)) world.clock.after(random.int(0, 120), () => this.#strikeStep(agent.name, member));
    };
  }

  #strikeAtRandom(mix: readonly (readonly [number, FaultName])[], mean: number): void {
    const world = this.#world;
    const strike = (): void => {
      if (!this.#on || mix.length === 0) return;
      FAULTS[this.#random.weighted(mix)]!(world, this.#random);
      world.clock.after(this.#random.gap(mean), strike);
    };
    world.clock.after(this.#random.gap(mean), strike);
  }

  /** A group that is down already has nothing to lose. */
  #strikeTheWell(faults: readonly FaultName[]): void {
    const world = this.#world;
    const random = this.#random;
    const state = { patience: 0 };
    const look = (): void => {
      if (!this.#on) return;
      state.patience += 1;
      if (unsettled(world) === null || state.patience > 25) {
        state.patience = 0;
        for (const ms of [0, random.int(20, 800)]) later(world, ms, () => FAULTS[random.pick(faults)]!(world, random));
      }
      world.clock.after(random.int(200, 600), look);
    };
    world.clock.after(random.int(0, 500), look);
  }

  /** No further faults, and what is broken is mended. */
  stop(): void {
    const world = this.#world;
    this.#on = false;
    world.troubled = false;
    world.network.mendAll();
    world.network.trouble = 0;
    for (const set of [world.startsFail, world.copiesFail, world.disksFull, world.slow]) set.clear();
    for (const name of Object.keys(world.shares)) world.shares[name] = 0;
    for (const server of world.disks.servers) server.process.thaw();
    for (const host of world.hosts) {
      world.agents.get(host)?.process.thaw();
      powerOn(world, host);
    }
  }

  #strikeStep(host: string, member: string): void {
    const random = this.#random;
    if (!this.#on) return;
    const server = this.#world.disks.servers.find((one) => one.member === member);
    const what = random.int(0, 3);
    if (what === 0 && server !== undefined) kill(this.#world, server);
    else if (what === 1) crashAgent(this.#world, random, host);
    else freezeAgent(this.#world, random, host);
  }
}
