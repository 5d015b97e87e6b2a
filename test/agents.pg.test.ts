/** The agents govern the cluster together: any minority of them may go, and hosts come and leave by the manifest. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { identify, isAlive, sendSignal } from '../src/engine/proc.ts';
import { TestCluster } from './support/cluster.ts';
import { sharedManifest } from './support/manifest.ts';
import { EMBEDDED_18 } from './support/scenes.ts';

const ELECTED_MS = 20_000;

describe('agents', () => {
  let cluster: TestCluster;
  const manifest = (hosts: number): string => sharedManifest({ volume: cluster.volume, version: EMBEDDED_18, hosts, replicas: 2, firstPort: cluster.firstPort });
  const leader = async (): Promise<string> => (await cluster.status()).agents.find((agent) => agent.state === 'leader')?.host ?? '';

  beforeAll(async () => {
    cluster = await TestCluster.open();
    await cluster.up(manifest(3));
  });
  afterAll(() => cluster?.destroy());

  test('elect another leader when theirs dies, and it carries out a failover', async () => {
    const gone = await leader();
    const primary = await cluster.primary();
    const postmaster = identify(primary.pid ?? 0);
    await cluster.killAgent(gone);
    await expect.poll(async () => (await leader()) !== gone && (await leader()) !== '', { timeout: ELECTED_MS }).toBe(true);
    expect(postmaster !== null && isAlive(postmaster)).toBe(true);
    sendSignal(primary.pid ?? 0, 'SIGKILL');
    // With its agent gone as well nobody reports the death: that no replica hears from it is what tells.
    await expect.poll(async () => (await cluster.group()).primary, { timeout: 60_000 }).not.toBe(primary.name);
    await cluster.up(manifest(3));
    await cluster.waitHealthy({ members: 3 });
  });

  test('let a host in that the manifest names, and one go that it no longer names', async () => {
    const voters = async (): Promise<string[]> => (await cluster.status()).agents.filter((agent) => agent.voter).map((agent) => agent.host).sort();
    await cluster.up(manifest(4));
    await expect.poll(voters, { timeout: ELECTED_MS }).toEqual(['h1', 'h2', 'h3', 'h4']);
    await cluster.up(manifest(3));
    expect(await voters()).toEqual(['h1', 'h2', 'h3']);
    await cluster.waitHealthy({ members: 3 });
  });
});
