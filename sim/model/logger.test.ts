import { describe, expect, it } from 'vitest';
import { FAULTS } from '../faults/faults.ts';
import { Prng } from '../kernel/prng.ts';
import type { Folder } from '../world/disks.ts';
import { drawTopology } from '../world/topology.ts';
import { World } from '../world/world.ts';
import { ModelLogger } from './logger.ts';
import { ModelPostgres, NO_CONF } from './postgres.ts';
import type { Wal } from './wal.ts';

const UPSTREAM = 9001;

const world = (): World => new World({ seed: 1 }, drawTopology(new Prng(1, 'run'), 'local-quorum'));

/** So many records of timeline 1, and then so many of timeline 2. */
const walOf = (first: number, second = 0): Wal => [...Array<number>(first).fill(1), ...Array<number>(second).fill(2)].map((timeline, commit) => ({ timeline, commit }));

const folderOf = (member: string, host: string, wal: Wal, oldest = 0): Folder => ({
  host, marker: { member, incarnation: 1, term: 1 }, fenced: null, lock: null,
  data: {
    wal, flushed: wal.length, standbySignal: true, clean: true, slots: new Set(['slot']), accounts: false, systemIdentifier: '7', conf: JSON.stringify(NO_CONF),
    torn: false, oldest, reserved: 0, logger: { promised: 0, promisedDurably: 0, walTerm: 0 },
  },
});

/** A logger with so much of timeline 1 follows one that left it for timeline 2 at 59, and keeps its WAL from `oldest` on. */
function followed(own: number, oldest: number): { logger: ModelLogger; upstream: ModelLogger } {
  const here = world();
  const source = walOf(59, 20);
  const upstream = new ModelLogger(here, { member: 'upstream', folder: folderOf('upstream', 'h1', source, oldest), port: UPSTREAM });
  const wal = [...source.slice(0, Math.min(own, 59)), ...walOf(own).slice(59)];
  const logger = new ModelLogger(here, { member: 'logger', folder: folderOf('logger', 'h2', wal), port: UPSTREAM + 1 });
  here.clock.run(100);
  logger.follow({ port: UPSTREAM, name: 'logger@1', slot: 'slot', term: 1 });
  here.clock.run(2_000);
  return { logger, upstream };
}

describe('a logger whose upstream has begun another timeline', () => {
  it('cuts off what lies behind the fork and goes on from there', () => {
    const { logger, upstream } = followed(66, 48);
    expect(logger.data.wal).toEqual(upstream.data.wal);
  });

  it('gets nothing from an upstream that no longer has the WAL from the fork on', () => {
    const { logger } = followed(66, 64);
    expect(logger.data.wal).toHaveLength(59);
    expect(logger.receiver?.stream ?? null).toBeNull();
  });
});

it('WAL that is not flushed is never recycled', () => {
  const here = world();
  const primary = new ModelPostgres(here, { member: 'primary', folder: folderOf('primary', 'h1', walOf(70)), port: UPSTREAM, restoreFrom: () => null });
  primary.inRecovery = false;
  primary.data.flushed = 60;
  FAULTS['wal-gone']!(here, new Prng(1, 'faults'));
  expect(primary.data.oldest).toBe(48);
});
