import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { identify } from '../engine/proc.ts';
import { agentDir } from '../home.ts';
import { writeIdentity } from './identity/files.ts';
import { agentEnv, launchAgent, runningAgent, stopAgent } from './launch.ts';
import { claimAgentDir } from './pid-file.ts';
import { RpcClient } from './rpc/client.ts';
import { type TestCluster, testCluster } from './testing/identities.ts';

const entry = new URL('./testing/fake-agent.ts', import.meta.url);

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await testCluster('c');
});

async function prepare(host: string): Promise<{ home: string; cluster: string; host: string; entry: URL; dir: string }> {
  const home = await mkdtemp(join(tmpdir(), 'pgorbit-launch-'));
  const dir = agentDir(home, 'c', host);
  await writeIdentity(dir, await cluster.host(host));
  onTestFinished(async () => {
    await stopAgent(dir, { timeoutMs: 0 });
    await rm(home, { recursive: true, force: true });
  });
  return { home, cluster: 'c', host, entry, dir };
}

/** A folder that this very process may claim; nothing in it is stopped afterwards. */
async function claimable(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'pgorbit-claim-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

it('starts an agent apart from its starter, and ends it', async () => {
  const options = await prepare('h1');
  const pid = await launchAgent(options);
  const running = await runningAgent(options.dir);
  expect(running).toMatchObject({ ...identify(pid), listens: { address: '127.0.0.1' } });
  // Fields 5 and 6 of proc_pid_stat(5): process group and session, its own.
  const fields = (await readFile(`/proc/${pid}/stat`, 'latin1')).split(') ')[1]!.split(' ');
  expect([fields[2], fields[3]]).toEqual([String(pid), String(pid)]);
  expect(await readlink(`/proc/${pid}/cwd`)).toBe('/');
  expect(await stopAgent(options.dir)).toBe(true);
  expect(await runningAgent(options.dir)).toBeNull();
  expect(await stopAgent(options.dir)).toBe(false);
});

it('passes on where things are, and nothing else of the environment', async () => {
  process.env['PGHOST'] = 'elsewhere';
  onTestFinished(() => {
    delete process.env['PGHOST'];
  });
  const options = await prepare('h1');
  await launchAgent(options);
  const { listens } = (await runningAgent(options.dir))!;
  const client = new RpcClient({ ...listens!, host: 'h1' }, cluster.admin);
  onTestFinished(() => client.close());
  const env = JSON.parse((await client.call('GET /v1/ping', {})).version) as Record<string, string>;
  expect(env['PATH']).toBe(process.env['PATH']);
  expect(env).not.toHaveProperty('PGHOST');
  expect(agentEnv({ NODE_OPTIONS: '--inspect', LC_ALL: 'C', PGORBIT_HOME: '/p', PGPASSWORD: 'x' })).toEqual({ LC_ALL: 'C', PGORBIT_HOME: '/p' });
});

it('leaves an agent that runs as it is, also when two start it at once', async () => {
  const options = await prepare('h1');
  const [one, two] = await Promise.all([launchAgent(options), launchAgent(options)]);
  expect(one).toBe(two);
  expect(await launchAgent(options)).toBe(one);
});

it('fails with the end of the log when the agent ends', async () => {
  await expect(launchAgent(await prepare('broken'))).rejects.toMatchObject({
    code: 'agent-failed',
    message: expect.stringMatching(/ended with status 7[^]*this agent cannot start/),
    hint: expect.stringContaining('agent.log'),
  });
});

it('fails where there is no identity', async () => {
  const home = await mkdtemp(join(tmpdir(), 'pgorbit-launch-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  await expect(launchAgent({ home, cluster: 'c', host: 'h1', entry })).rejects.toMatchObject({ code: 'no-such-cluster' });
});

it('kills an agent that does not end by itself, and starts another after it', async () => {
  const options = await prepare('stubborn');
  const first = await launchAgent(options);
  expect(await stopAgent(options.dir, { timeoutMs: 50 })).toBe(true);
  expect(identify(first)).toBeNull();
  expect(await launchAgent(options)).not.toBe(first);
});

it('is locked out of a folder whose agent lives, and not by one that is no more', async () => {
  const dir = await claimable();
  const other = spawn('sleep', ['60'], { stdio: 'ignore' });
  onTestFinished(() => void other.kill('SIGKILL'));
  await writeFile(join(dir, 'agent.pid'), JSON.stringify({ ...identify(other.pid!), listens: null }));
  await expect(claimAgentDir(dir)).rejects.toMatchObject({ code: 'locked', message: expect.stringContaining(String(other.pid)) });
  // The process id lives, but it is another process.
  await writeFile(join(dir, 'agent.pid'), JSON.stringify({ ...identify(other.pid!), startTime: '1', listens: null }));
  const claim = await claimAgentDir(dir);
  expect(await runningAgent(dir)).toMatchObject({ pid: process.pid, listens: null });
  await claim.release();
  expect(await runningAgent(dir)).toBeNull();
});

it('lets one of many claim a folder with a stale file', async () => {
  const dir = await claimable();
  await writeFile(join(dir, 'agent.pid'), 'nonsense');
  const claims = await Promise.allSettled([1, 2, 3, 4].map(() => claimAgentDir(dir)));
  expect(claims.filter((claim) => claim.status === 'fulfilled').length).toBe(1);
});
