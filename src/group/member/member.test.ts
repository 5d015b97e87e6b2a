import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../observe/log.ts';
import { writeMarker } from '../../volume/marker.ts';
import type { Goal } from '../model.ts';
import { memberRecord, specOf } from '../testing/build.ts';
import { Member, type MemberEnvironment, type Orders } from './member.ts';
import { placeOf, type Place } from './place.ts';

let root: string;
let place: Place;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'pgorbit-member-'));
  place = placeOf({ home: join(root, 'home'), volume: root, cluster: 'shop', clusterId: '0123456789ab', group: 'main', member: 'n2', host: 'h1' });
});
afterEach(() => rm(root, { recursive: true, force: true }));

const orders = (goal: Goal): Orders => ({ goal, term: 1, record: memberRecord('n2'), spec: specOf(['n1', 'n2']), systemIdentifier: null, addresses: [] }) as unknown as Orders;
const FOLLOW = { kind: 'follow', upstream: { member: 'n1', address: '127.0.0.1', port: 5432 }, slot: 'n2', name: 'n2@1' } as unknown as Goal;
const environment = { log: silentLog(), current: () => true, leased: () => true, justBegun: () => false, superseded: () => false, wake: () => undefined, progressed: () => undefined } as unknown as MemberEnvironment;

/** Whole data in the member's place on the shared volume, whoever has made them. */
async function made(): Promise<void> {
  await mkdir(place.dataDir, { recursive: true });
  await writeMarker(place.dir, { format: 1, clusterId: '0123456789ab', cluster: 'shop', group: 'main', member: 'n2', incarnation: 1, term: 1, systemIdentifier: null, madeAt: '2026-01-01T00:00:00Z' });
}

describe('a member that is to go', () => {
  it("has gone when it has nothing: what comes in its place later is a namesake's, of which this host has not heard", async () => {
    const member = new Member(place, environment, orders({ kind: 'remove' }));
    expect(await member.facts()).toMatchObject({ data: null, debris: false, aside: false });
    await made();
    expect(await member.facts()).toMatchObject({ data: null, debris: false, aside: false });
    member.orders = orders(FOLLOW);
    expect(await member.facts()).toMatchObject({ data: { incarnation: 1 } });
    // Now it has heard: these are the files that are to go.
    member.orders = orders({ kind: 'remove' });
    expect(await member.facts()).toMatchObject({ data: { incarnation: 1 } });
  });

  it('has what was set aside still to lose', async () => {
    await mkdir(`${place.dir}.aside-1`, { recursive: true });
    const member = new Member(place, environment, orders({ kind: 'remove' }));
    expect(await member.facts()).toMatchObject({ data: null, aside: true });
    expect(await member.facts()).toMatchObject({ data: null, aside: true });
  });
});
