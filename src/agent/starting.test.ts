import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { agentHostIn, endStarting } from './starting.ts';

test('only the agent of that home and cluster is meant', () => {
  const argv = ['/usr/bin/node', '--optimize-for-size', '/x/dist/agent/main.js', '--home', '/h', '--cluster', 'c', '--host', 'h1'];
  expect(agentHostIn(argv, '/h', 'c')).toBe('h1');
  expect(agentHostIn(argv, '/h2', 'c')).toBeNull();
  expect(agentHostIn(argv, '/h', 'c2')).toBeNull();
  expect(agentHostIn(['less', '--home', '/h', '--cluster', 'c', '--host', 'h1'], '/h', 'c')).toBeNull();
  expect(agentHostIn([], '/h', 'c')).toBeNull();
});

test('an agent that has claimed nothing yet is ended', async () => {
  const home = await mkdtemp(join(tmpdir(), 'pgorbit-starting-'));
  try {
    await mkdir(join(home, 'agent'));
    const main = join(home, 'agent', 'main.js');
    await writeFile(main, 'process.stdout.write("up"); setInterval(() => undefined, 1000);');
    const start = async (cluster: string) => {
      const child = spawn(process.execPath, [main, '--home', home, '--cluster', cluster, '--host', 'h1'], { stdio: ['ignore', 'pipe', 'ignore'] });
      await once(child.stdout, 'data');
      return child;
    };
    const [ours, other] = [await start('c'), await start('d')];
    const ended = once(ours, 'exit');
    await endStarting(home, 'c');
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(other.exitCode ?? other.signalCode).toBeNull();
    other.kill('SIGKILL');
    await once(other, 'exit');
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});
