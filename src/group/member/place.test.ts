import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeMarker, type Marker } from '../../volume/marker.ts';
import { holdingOf, placeOf, type PlaceInput } from './place.ts';

const input = (patch: Partial<PlaceInput> = {}): PlaceInput => ({ home: '/h', volume: '/v', cluster: 'shop', clusterId: '0123456789ab', group: 'main', member: 'n1', host: 'h1', ...patch });

describe('placeOf', () => {
  it('puts data on the volume and the rest at home', () => {
    const place = placeOf(input());
    expect(place.dataDir).toBe('/v/shop/main/n1/data');
    expect(place.dirOf?.('n2')).toBe('/v/shop/main/n2');
    expect(place.homeDir.startsWith('/h/shop/h1/')).toBe(true);
    expect(place.cgroupOf('n2')).toBe('shop-01234567-main-n2');
  });

  it('keeps local data at home', () => {
    const place = placeOf(input({ volume: null }));
    expect(place.dirOf).toBeNull();
    expect(place.dataDir.startsWith(place.homeDir)).toBe(true);
  });

  it('finds a short folder for the socket where the home is long, a different one for each member', () => {
    const home = `/${'x'.repeat(100)}`;
    const places = ['n1', 'n2'].map((member) => placeOf(input({ home, member })).socketDir);
    for (const dir of places) expect(`${dir}/.s.PGSQL.65535.lock`.length).toBeLessThan(108);
    expect(places[0]).not.toBe(places[1]);
  });
});

describe('holdingOf', () => {
  let volume = '';
  beforeEach(async () => {
    volume = await mkdtemp(join(tmpdir(), 'pgorbit-place-'));
  });
  afterEach(() => rm(volume, { recursive: true, force: true }));

  const marker = (patch: Partial<Marker> = {}): Marker => ({
    format: 1, clusterId: '0123456789ab', cluster: 'shop', group: 'main', member: 'n1', incarnation: 1, term: 1, systemIdentifier: null, madeAt: '2026-01-01T00:00:00Z', ...patch,
  });
  async function holding(mark: Marker | null): Promise<string> {
    const place = placeOf(input({ volume }));
    await mkdir(place.dir, { recursive: true });
    if (mark !== null) await writeMarker(place.dir, mark);
    return (await holdingOf(place)).kind;
  }

  it('tells nothing, its own data, and a clone that was not finished', async () => {
    expect((await holdingOf(placeOf(input({ volume })))).kind).toBe('nothing');
    expect(await holding(marker())).toBe('data');
    expect(await holding(marker({ member: 'n2' }))).toBe('debris');
  });

  it('refuses what is another cluster\'s or nobody\'s', async () => {
    await expect(holding(marker({ clusterId: 'ffffffffffff' }))).rejects.toMatchObject({ code: 'not-ours' });
    await expect(holding(marker({ group: 'other' }))).rejects.toMatchObject({ code: 'not-ours' });
    const place = placeOf(input({ volume, member: 'n9' }));
    await mkdir(place.dir, { recursive: true });
    await writeFile(join(place.dir, 'precious'), 'x');
    await expect(holdingOf(place)).rejects.toMatchObject({ code: 'not-ours' });
  });
});
