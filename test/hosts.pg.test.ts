/** Several machines, played by two PGORBIT_HOMEs: a host joins by a token, takes part, and goes. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runningAgent } from '../src/agent/pid-file.ts';
import { agentDir, hostDir } from '../src/home.ts';
import { TestCluster } from './support/cluster.ts';
import { endAgents } from './support/leftovers.ts';
import { sharedManifest } from './support/manifest.ts';
import { EMBEDDED_18 } from './support/scenes.ts';

const WITHIN = { timeout: 20_000 };

interface Invitation {
  token: string;
  command: string;
}

describe('hosts of several machines', () => {
  let here: TestCluster;
  let there: TestCluster;
  let third: TestCluster;
  let spent: string;
  const manifest = (): string => sharedManifest({ volume: here.volume, version: EMBEDDED_18, hosts: 1, replicas: 1, firstPort: here.firstPort });
  const voters = async (): Promise<string[]> => (await here.status()).agents.filter((agent) => agent.voter && agent.state !== 'unreachable').map((agent) => agent.host).sort();

  beforeAll(async () => {
    here = await TestCluster.open();
    there = await TestCluster.open();
    third = await TestCluster.open();
    await here.up(manifest());
  });
  afterAll(async () => {
    // Both command lines know the whole cluster: what one clears away, an agent of the other would start again.
    for (const cluster of [here, there]) if (cluster !== undefined) await endAgents(cluster.folder);
    for (const cluster of [third, there, here]) await cluster?.destroy();
  });

  test('join by a token, with a key that never leaves them, and vote', async () => {
    const invitation = await here.must<Invitation>('host', 'add', 'h2', '127.0.0.2');
    spent = invitation.token;
    expect(invitation.command).toBe(`pgorbit agent --join ${spent}`);
    expect(await here.must('host', 'ls')).toMatchObject({ hosts: [{ host: 'h1', state: 'leader' }, { host: 'h2', state: 'not joined', token: 'waits' }] });
    // Nobody here plays the other machine's part: it is waited for, and told how to join.
    const waiting = await here.cli('up', '--timeout', '1s');
    expect(waiting.code).toBe(4);
    expect(waiting.stderr).toContain('h2 has not joined');
    spent = /pgorbit agent --join (\S+)/.exec(waiting.stdout)?.[1] ?? '';
    expect(await there.must('agent', '--join', spent)).toMatchObject({ cluster: 'test', host: 'h2', address: '127.0.0.2' });
    await expect.poll(voters, WITHIN).toEqual(['h1', 'h2']);
    expect(existsSync(hostDir(here.home, 'test', 'h2'))).toBe(false);
    const key = await readFile(join(agentDir(there.home, 'test', 'h2'), 'tls.key'), 'utf8');
    expect(key).toContain('PRIVATE KEY');
    expect(await readFile(join(here.home, 'test', 'manifest.yaml'), 'utf8')).toContain('h2: 127.0.0.2');
  });

  test('say what is wrong with a token', async () => {
    const refused = async (token: string): Promise<string> => {
      const result = await third.cli('agent', '--join', token);
      expect(result.code).toBe(2);
      return result.stderr;
    };
    expect(await refused(spent)).toContain('the token was used already');
    expect(await refused(spent.slice(0, -3))).toContain('not whole');
    const { token } = await here.must<Invitation>('host', 'add', 'h3', '127.0.0.3', '--ttl', '1ms');
    expect(await refused(token)).toContain('the token expired at');
    const first = await here.must<Invitation>('host', 'token', 'h3');
    await here.must('host', 'token', 'h3');
    expect(await refused(first.token)).toContain('a newer one has taken its place');
    expect((await here.cli('host', 'token', 'h2')).stderr).toContain('h2 has joined already');
    await here.must('host', 'remove', 'h3');
  });

  test('run members, and are found again after a restart of either agent', async () => {
    await here.must('add', 'replica', '--name', 'n3', '--host', 'h2', '--port', String(here.firstPort + 22));
    await here.waitHealthy({ members: 3 });
    expect(await here.member('n3')).toMatchObject({ host: 'h2', address: '127.0.0.2', state: 'streaming' });
    await there.killAgent('h2');
    await here.killAgent('h1');
    await there.must('agent', '--background');
    await here.must('up');
    await expect.poll(voters, WITHIN).toEqual(['h1', 'h2']);
    await here.waitHealthy({ members: 3 });
  });

  test('manage the cluster after a login, with certificates that can be renewed while everything runs', async () => {
    const { token } = await here.must<Invitation>('host', 'admin-token');
    await there.must('login', token);
    expect((await there.status()).groups[0]?.state).toBe('healthy');
    const pids = await here.pids();
    const agents = (await here.status()).agents.map((agent) => agent.pid);
    expect(await here.must('rotate', 'certificates')).toMatchObject({ certificates: [{ name: 'h1' }, { name: 'h2' }, { name: 'admin' }] });
    const before = await readFile(join(agentDir(there.home, 'test', 'h2'), 'ca.crt'), 'utf8');
    await there.must('rotate', 'certificates', '--ca');
    expect(await readFile(join(agentDir(there.home, 'test', 'h2'), 'ca.crt'), 'utf8')).not.toContain(before.trim());
    expect(await there.must('status')).toMatchObject({ groups: [{ state: 'healthy' }] });
    // This machine's command line was left behind: it logs in anew.
    expect((await here.cli('up')).code).not.toBe(0);
    const again = await there.must<Invitation>('host', 'admin-token');
    await here.must('login', again.token);
    await here.must('up');
    expect((await here.status()).agents.map((agent) => agent.pid)).toEqual(agents);
    expect(await here.pids()).toEqual(pids);
  });

  test('stop and start with the cluster', async () => {
    await here.must('down');
    expect((await here.leftovers()).postmasters.filter((one) => one.dataDir.includes('/n3/'))).toEqual([]);
    expect(await runningAgent(agentDir(there.home, 'test', 'h2'))).not.toBeNull();
    await here.must('up');
    await here.waitHealthy({ members: 3 });
  });

  test('go once no member lives there', async () => {
    const refused = await here.cli('host', 'remove', 'h2');
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain('n3 lives on host h2');
    await here.must('remove', 'n3');
    await here.must('host', 'remove', 'h2');
    expect(await voters()).toEqual(['h1']);
    await expect.poll(() => runningAgent(agentDir(there.home, 'test', 'h2')), WITHIN).toBeNull();
    await expect.poll(async () => (await here.must<{ hosts: { host: string }[] }>('host', 'ls')).hosts.map((row) => row.host), WITHIN).toEqual(['h1']);
    await here.waitHealthy({ members: 2 });
  });
});
