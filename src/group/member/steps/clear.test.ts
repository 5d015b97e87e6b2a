import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identify } from '../../../engine/proc.ts';
import { acquireLock, lockOwner, releaseLock } from '../../../volume/lock.ts';
import { writeMarker } from '../../../volume/marker.ts';
import type { Volume } from '../../../volume/volume.ts';
import { placeOf, type Place } from '../place.ts';
import { removeFolders } from './clear.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'pgorbit-clear-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const volume = { removeMember: (dir: string) => rm(dir, { recursive: true, force: true }) } as unknown as Volume;

/** n1 as host `host` knows it, with whole data on the shared volume. */
async function placed(host: string): Promise<Place> {
  const place = placeOf({ home: join(root, 'home'), volume: root, cluster: 'shop', clusterId: '0123456789ab', group: 'main', member: 'n1', host });
  await mkdir(place.dataDir, { recursive: true });
  await writeMarker(place.dir, { format: 1, clusterId: '0123456789ab', cluster: 'shop', group: 'main', member: 'n1', incarnation: 1, term: 1, systemIdentifier: null, madeAt: '2026-01-01T00:00:00Z' });
  return place;
}

describe('removeFolders', () => {
  it('leaves alone what is in use from another host: it is a namesake of which this one has not heard', async () => {
    const place = await placed('h1');
    const other = await lockOwner('h2', identify(process.pid)!, 2);
    await acquireLock(place.dir, other);
    await expect(removeFolders(place, volume)).rejects.toMatchObject({ code: 'locked', message: expect.stringContaining('host h2') });
    expect(existsSync(place.dataDir)).toBe(true);
    await releaseLock(place.dir, other);
    await removeFolders(place, volume);
    expect(existsSync(place.dir)).toBe(false);
  });

  it("is not hindered by this host's own lock, nor by a dead one's", async () => {
    const place = await placed('h1');
    await acquireLock(place.dir, await lockOwner('h1', identify(process.pid)!, 2));
    await removeFolders(place, volume);
    expect(existsSync(place.dir)).toBe(false);
    await placed('h1');
    const me = identify(process.pid)!;
    await acquireLock(place.dir, await lockOwner('h2', { ...me, startTime: '1' }, 2));
    await removeFolders(place, volume);
    expect(existsSync(place.dir)).toBe(false);
  });
});
