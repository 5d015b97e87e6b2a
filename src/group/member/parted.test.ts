import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Marker, writeMarker } from '../../volume/marker.ts';
import { type Parted, partedFrom, readParted, writeParted } from './parted.ts';

let homeDir: string;
beforeEach(() => {
  homeDir = mkdtempSync(join(tmpdir(), 'pgorbit-parted-'));
  mkdirSync(join(homeDir, 'storage'));
});
afterEach(() => rmSync(homeDir, { recursive: true, force: true }));

const PARTED: Parted = { owner: { cluster: 'dr', clusterId: 'new' }, point: { timeline: 1, lsn: '0/3000000', time: null }, done: false };
const marked = (clusterId: string): Promise<void> =>
  writeMarker(join(homeDir, 'storage'), { format: 1, clusterId, cluster: 'dr', group: 'main', member: 's1', incarnation: 1, term: 0, systemIdentifier: '7', madeAt: '2026-11-21T00:00:00Z' } satisfies Marker);

describe('partedFrom', () => {
  const place = (): { homeDir: string; dir: string } => ({ homeDir, dir: join(homeDir, 'storage') });

  it('is nothing where nothing left, or an attempt came to nothing', async () => {
    await marked('old');
    expect(await partedFrom(place())).toBe(null);
    await writeParted(homeDir, PARTED);
    expect(await partedFrom(place())).toEqual(PARTED);
  });

  it('makes up for the note that a kill kept from being written behind the mark', async () => {
    await marked('new');
    await writeParted(homeDir, PARTED);
    expect(await partedFrom(place())).toEqual({ ...PARTED, done: true });
    expect(await readParted(homeDir)).toEqual({ ...PARTED, done: true });
  });

  it('needs no data any more once it is done', async () => {
    await writeParted(homeDir, { ...PARTED, done: true });
    rmSync(join(homeDir, 'storage'), { recursive: true });
    expect(await partedFrom(place())).toMatchObject({ done: true });
  });
});
