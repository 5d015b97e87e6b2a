import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { startLoad } from '../../wal/testing/load.ts';
import { EVERYTHING, TestPostgres, command, suiteVersions } from '../../wal/testing/postgres.ts';
import { caughtUp, contents, follow, makePair, promote, rewindTo } from './testing/pair.ts';
import { prepare, work } from './testing/workload.ts';

const servers: TestPostgres[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.destroy();
});

/** The pair with some common history, of which the last part came after the standby's last restartpoint. */
async function started(version: number, seed: number, settings: Record<string, string | number> = {}): Promise<{ old: TestPostgres; next: TestPostgres }> {
  const pair = await makePair(version, servers, settings);
  const client = await pair.old.connect();
  await prepare(client);
  await client.end();
  await work(pair.old, seed, 25, { checkpoints: true });
  return pair;
}

async function expectSame(old: TestPostgres, next: TestPostgres): Promise<void> {
  expect(await contents(old)).toEqual(await contents(next));
}

describe.each(suiteVersions(15))('PostgreSQL %i, rewound', (version) => {
  it.each([
    { seed: 1, end: 'killed', checkpoints: true }, { seed: 2, end: 'killed', checkpoints: false },
    { seed: 4, end: 'stopped', checkpoints: true },
  ].slice(EVERYTHING ? 0 : 1))('is the same as its new primary: seed $seed, $end, checkpoints after the fork: $checkpoints', async ({ seed, end, checkpoints }) => {
    const { old, next } = await started(version, seed);
    const load = await startLoad(old, 3);
    while (load.acknowledged() < 100) await new Promise((resolve) => setTimeout(resolve, 10));
    await promote(next);
    await work(old, seed + 100, 25, { checkpoints });
    await work(next, seed + 200, 25, { checkpoints: seed % 2 === 0 });
    if (end === 'killed') await old.kill();
    else await old.stop();
    await load.ended;
    const again = await startLoad(next, 2, undefined, 10_000_000);
    const result = await rewindTo(old, next);
    again.stop();
    await again.ended;
    expect(result).toMatchObject({ how: 'rewound', from: 1, to: 2 });
    await follow(old, next);
    await expectSame(old, next);
    if (version < 18) {
      await old.stop();
      await command(join(old.bin, 'pg_checksums'), ['--check', '-D', old.data]);
      await old.start();
    }
    // It goes on: what comes later arrives, and it can be promoted itself.
    await work(next, seed + 300, 10, { checkpoints: true });
    await caughtUp(next, old);
    await expectSame(old, next);
    await next.stop();
    await promote(old);
    await work(old, seed + 400, 5, { checkpoints: true });
  });
});
