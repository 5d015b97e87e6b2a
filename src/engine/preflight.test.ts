import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Engine } from './find.ts';
import { checkBeforeStart } from './preflight.ts';
import { childrenOf, isZombie } from './proc.ts';

let dir: string;
const running: ChildProcess[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pgorbit-preflight-'));
  await mkdir(join(dir, 'data'));
  await writeFile(join(dir, 'data', 'PG_VERSION'), '18\n');
});
afterEach(async () => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

const plan = () => ({
  engine: { major: 18, version: '18.4', bin: '/nowhere', source: 'folder', tools: new Set<string>() } satisfies Engine,
  dataDir: join(dir, 'data'), port: 5432, listen: [], socketDir: dir, user: null,
});

/** The parent becomes a program that never waits for the child that its shell had started. */
async function makeZombie(): Promise<number> {
  const parent = spawn('/bin/sh', ['-c', 'sleep 60 & exec sleep 61'], { stdio: 'ignore' });
  running.push(parent);
  const pid = parent.pid ?? 0;
  await expect.poll(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toMatch(/^sleep\0/);
  const [child] = childrenOf(pid);
  if (child === undefined) throw new Error('the shell started no child');
  process.kill(child, 'SIGKILL');
  await expect.poll(() => isZombie(child)).toBe(true);
  return child;
}

it('clears the locks of a postmaster that is a zombie, and leaves those of a living one', async () => {
  const zombie = await makeZombie();
  const locks = [join(dir, 'data', 'postmaster.pid'), join(dir, '.s.PGSQL.5432.lock')];
  for (const lock of locks) await writeFile(lock, `${zombie}\n/somewhere\n`);
  await checkBeforeStart(plan());
  expect(locks.map((lock) => existsSync(lock))).toEqual([false, false]);
  for (const lock of locks) await writeFile(lock, `${process.pid}\n/somewhere\n`);
  await checkBeforeStart(plan());
  expect(locks.map((lock) => existsSync(lock))).toEqual([true, true]);
});
