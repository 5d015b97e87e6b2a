/**
 * What clients do: commit wherever writes are accepted and they get through, one that is cut off together with an old
 * primary included; and hold sessions on replicas. A commit counts when its client has been told of it.
 */
import { ModelPostgres } from '../model/postgres.ts';
import { CLIENT_HOST, type World } from '../world/world.ts';

/** Transactions that may wait for followers on one server. */
const CLIENTS = 10;
/** Between two transactions once nothing more is to be learned from many, ms. */
const REST_MS = 150;

/** @returns what makes them come seldom. */
export function startClients(world: World, random: World['random']): () => void {
  const state = { commits: 0, rest: 0 };
  const [least, most] = random.pick([[20, 100], [20, 100], [3, 30]] as const);
  const commit = (): void => {
    for (const server of world.disks.servers) {
      if (!(server instanceof ModelPostgres) || !server.open || !server.answers || server.commits.waiting >= CLIENTS) continue;
      const client = random.pick([CLIENT_HOST, server.host, random.pick(world.hosts)]);
      if (world.network.linked(client, server.host)) transact(world, random, server, client, ++state.commits);
    }
    world.clock.after(random.int(least, most) + state.rest, commit);
  };
  const sessions = (): void => {
    for (const server of world.disks.servers) {
      if (server.inRecovery) server.session(random.chance(server.sessions === 0 ? 0.3 : 0.6) ? 1 : -1);
      if (server.sessions > 3) server.session(-1);
    }
    world.clock.after(random.int(500, 3_000), sessions);
  };
  commit();
  sessions();
  return () => {
    state.rest = REST_MS;
  };
}

function transact(world: World, random: World['random'], server: ModelPostgres, client: string, number: number): void {
  const at = server.data.wal.length;
  server.commit(number, () => {
    const record = server.data.wal[at]!;
    world.clock.after(random.int(0, 6), () => {
      // Whoever is not told does not know what became of it.
      if (server.alive && world.network.passes(server.host, client)) world.invariants.acknowledge(server, record, at);
    });
  });
}
