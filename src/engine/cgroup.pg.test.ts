import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { findCgroup, openCgroup } from './cgroup.ts';

const name = `test-cgroup-${process.pid}`;
const probe = await openCgroup(`${name}/probe`);
await probe?.remove();

// Needs a cgroup v2 hierarchy that we may write to.
describe.skipIf(probe === null)('a cgroup', () => {
  afterEach(async () => {
    const left = await findCgroup(`${name}/a`);
    await left?.kill();
    await left?.remove();
  });

  test('is made, found, killed with all that was forked in it, and removed with its empty parents', async () => {
    expect(await findCgroup(`${name}/a`)).toBeNull();
    const cgroup = (await openCgroup(`${name}/a`))!;
    expect(await cgroup.populated()).toBe(false);
    const shell = spawn('/bin/sh', ['-c', 'echo 0 > "$0" && { sleep 600 & setsid sleep 600 & echo ready; wait; }', cgroup.procsFile], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(shell.stdout, 'data');
    const same = (await findCgroup(`${name}/a`))!;
    expect(same.path).toBe(cgroup.path);
    expect(await same.populated()).toBe(true);
    expect(await same.pids()).toHaveLength(3);
    await expect(cgroup.remove()).rejects.toMatchObject({ code: 'EBUSY' });
    const ended = once(shell, 'exit');
    await same.kill();
    expect(await cgroup.populated()).toBe(false);
    expect(await cgroup.pids()).toEqual([]);
    expect(await ended).toEqual([null, 'SIGKILL']);
    await cgroup.remove();
    await cgroup.remove();
    await cgroup.kill();
    expect(existsSync(cgroup.path)).toBe(false);
    expect(await findCgroup(`${name}/a`)).toBeNull();
  });

  test('a neighbour stays when one is removed', async () => {
    const [a, b] = await Promise.all([openCgroup(`${name}/a`), openCgroup(`${name}/b`)]);
    await a!.remove();
    expect(existsSync(b!.path)).toBe(true);
    await expect(writeFile(`${b!.path}/cgroup.procs`, '')).resolves.toBeUndefined();
    await b!.remove();
  });
});

test.each(['', '../x', 'a//b', '/a', 'a/..', 'a b'])('the name %j is refused', async (bad) => {
  await expect(openCgroup(bad)).rejects.toMatchObject({ code: 'internal' });
});
