/** One simulated life from one seed: faults and wishes for a while, then peace, in which everything must become well. */
import { unsettled } from './check/settled.ts';
import { Faults, type FaultName, type FreezeIn } from './faults/faults.ts';
import { Prng } from './kernel/prng.ts';
import { Violation } from './kernel/violation.ts';
import { startClients } from './people/load.ts';
import { Users, type Wishes } from './people/users.ts';
import { drawTopology, type TopologyName } from './world/topology.ts';
import { World, type WorldOptions } from './world/world.ts';

export interface RunOptions extends WorldOptions {
  /** ms of virtual time with faults; default: 20 to 60 s, by the seed. */
  troubleMs?: number;
  /** Agents freeze in this step in every seed, not only in those that draw it. */
  freezeIn?: FreezeIn;
  /** Only these faults, and quickly, not what the seed draws. */
  faults?: readonly FaultName[];
  /** False ends with the trouble: nobody asks whether all becomes well. */
  peace?: boolean;
  /** What people ask for: everything, or only that members come and go. */
  wishes?: Wishes;
  /** Only groups of this kind, not what the seed draws. */
  topology?: TopologyName;
}

export interface Outcome {
  seed: number;
  topology: TopologyName;
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
const LOOK_MS = 100;

export function runSeed(options: RunOptions): Outcome {
  const { seed } = options;
  const random = new Prng(seed, 'run');
  const topology = drawTopology(random, options.topology ?? null);
  const world = new World(options, topology);
  const outcome = (violation: Outcome['violation']): Outcome => ({
    seed, topology: topology.name, violation, time: world.clock.now, commits: world.invariants.acknowledged.length, term: world.store.documents.record?.value.term ?? 0,
  });
  try {
    world.trace(() => `${topology.name}: ${Object.values(topology.spec.members).map(({ name, role, host }) => `${name} ${role} on ${host}`).join(', ')}; agents that vote: ${topology.voters.join(', ')}; failover ${topology.spec.failover}, without a majority: ${topology.spec.withoutMajority}`);
    const clientsRest = startClients(world, new Prng(seed, 'clients'));
    if (random.chance(0.7)) world.clock.run(60_000, whenWell(world));
    const faults = new Faults(world, new Prng(seed, 'faults'), options.freezeIn ?? null, options.faults ?? null);
    const users = new Users(world, new Prng(seed, 'users'), options.wishes ?? 'all');
    world.clock.run(world.clock.now + (options.troubleMs ?? random.int(20_000, 60_000)));
    if (options.peace === false) return outcome(null);
    users.stop();
    faults.stop();
    world.trace(() => 'peace');
    settle(world, clientsRest);
    return outcome(null);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const rule = error instanceof Violation ? error.rule : 'crash';
    world.trace(() => `VIOLATION ${rule}: ${rule === 'crash' ? error.stack : error.message}`);
    return outcome({ rule, message: error.message });
  }
}

/** True when nothing is unsettled, as far as a look now and then tells. */
function whenWell(world: World): () => boolean {
  const { clock } = world;
  let next = 0;
  return () => {
    if (clock.now < next) return false;
    next = clock.now + LOOK_MS;
    return unsettled(world) === null;
  };
}

function settle(world: World, clientsRest: () => void): void {
  const { clock } = world;
  const end = clock.now + PEACE_MS;
  // What was asked of a frozen agent still comes.
  clock.run(clock.now + 2_000);
  clock.run(end, whenWell(world));
  const reason = unsettled(world);
  if (reason !== null) throw new Violation('liveness', `after ${PEACE_MS / 60_000} minutes of peace: ${reason}`);
  const { term } = world.store.documents.record!.value;
  clientsRest();
  clock.run(clock.now + CALM_MS);
  const again = unsettled(world);
  if (again !== null) throw new Violation('unsteady', `it was well, and then no longer: ${again}`);
  if (world.store.documents.record!.value.term !== term) throw new Violation('unsteady', 'the primary changed in peace');
  for (const server of world.disks.servers) if (server.open) world.invariants.opened(server);
}
