/** One simulated life from one seed: faults and wishes for a while, then peace, in which everything must become well. */
import { Faults } from './faults.ts';
import { startClients } from './load.ts';
import { Prng } from './prng.ts';
import { unsettled } from './settled.ts';
import { drawSpec, Users } from './users.ts';
import { Violation } from './violation.ts';
import { World, type WorldOptions } from './world.ts';

export interface RunOptions extends WorldOptions {
  /** ms of virtual time with faults; default: 20 to 60 s, by the seed. */
  troubleMs?: number;
  /** Agents freeze in this step in every seed, not only in those that draw it. */
  freezeIn?: 'start' | 'take-over';
}

export interface Outcome {
  seed: number;
  /** The rule that was broken, or null. */
  violation: { rule: string; message: string } | null;
  /** ms of virtual time */
  time: number;
  commits: number;
  term: number;
}

/** A drain may take ten minutes, a rebuild's patience five: longer than both is a hang. */
const PEACE_MS = 1_200_000;
/** What has settled must stay so. */
const CALM_MS = 15_000;

export function runSeed(options: RunOptions): Outcome {
  const { seed } = options;
  const random = new Prng(seed, 'run');
  const world = new World(options, drawSpec(random));
  const outcome = (violation: Outcome['violation']): Outcome => ({
    seed, violation, time: world.clock.now, commits: world.invariants.acknowledged.size, term: world.store.documents.record?.value.term ?? 0,
  });
  try {
    startClients(world, new Prng(seed, 'clients'));
    if (random.chance(0.7)) world.clock.run(60_000, () => unsettled(world) === null);
    const faults = new Faults(world, new Prng(seed, 'faults'), options.freezeIn ?? null);
    const users = new Users(world, new Prng(seed, 'users'));
    world.clock.run(world.clock.now + (options.troubleMs ?? random.int(20_000, 60_000)));
    users.stop();
    faults.stop();
    world.trace(() => 'peace');
    settle(world);
    return outcome(null);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const rule = error instanceof Violation ? error.rule : 'crash';
    world.trace(() => `VIOLATION ${rule}: ${rule === 'crash' ? error.stack : error.message}`);
    return outcome({ rule, message: error.message });
  }
}

function settle(world: World): void {
  const { clock } = world;
  const end = clock.now + PEACE_MS;
  // What was asked of a frozen agent still comes.
  clock.run(clock.now + 2_000);
  let looked = 0;
  const well = (): boolean => {
    if (clock.now - looked < 100) return false;
    looked = clock.now;
    return unsettled(world) === null;
  };
  clock.run(end, well);
  const reason = unsettled(world);
  if (reason !== null) throw new Violation('liveness', `after ${PEACE_MS / 60_000} minutes of peace: ${reason}`);
  const { term } = world.store.documents.record!.value;
  clock.run(clock.now + CALM_MS);
  const again = unsettled(world);
  if (again !== null) throw new Violation('unsteady', `it was well, and then no longer: ${again}`);
  if (world.store.documents.record!.value.term !== term) throw new Violation('unsteady', 'the primary changed in peace');
  for (const server of world.volume.servers) if (server.open) world.invariants.opened(server);
}
