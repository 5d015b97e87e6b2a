/** What clients do: commit wherever writes are accepted, and hold sessions on replicas. */
import type { World } from './world.ts';

export function startClients(world: World, random: World['random']): void {
  let commits = 0;
  const commit = (): void => {
    for (const server of world.volume.servers) {
      if (!server.open || server.phase !== 'ready') continue;
      const number = ++commits;
      server.data.wal.push({ timeline: server.data.wal.at(-1)!.timeline, commit: number });
      // The client hears of it only while the server lives to tell.
      world.clock.after(random.int(0, 6), () => {
        if (server.alive && server.phase === 'ready') world.invariants.acknowledge(server, number);
      });
    }
    world.clock.after(random.int(20, 100), commit);
  };
  const sessions = (): void => {
    for (const server of world.volume.servers) {
      if (server.inRecovery) server.session(random.chance(server.sessions === 0 ? 0.3 : 0.6) ? 1 : -1);
      if (server.sessions > 3) server.session(-1);
    }
    world.clock.after(random.int(500, 3_000), sessions);
  };
  commit();
  sessions();
}
