import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readlink, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sleep } from '../lifecycle.ts';
import { installEmbedded, removeEngines } from './embedded.ts';
import { findEngine, listEngines } from './find.ts';
import { scratchFolder } from './testing/scratch.ts';

const run = promisify(execFile);
let home: string;
beforeEach(async () => {
  home = await scratchFolder();
});
afterEach(() => rm(home, { recursive: true, force: true }));

test('the embedded programs are copied whole, once, with their links, also by two processes at once', async () => {
  const umask = process.umask(0o077);
  try {
    await mkdir(join(home, 'engines', 'postgres-1.999999999.abc'), { recursive: true });
    const bins = await Promise.all([installEmbedded(home), installEmbedded(home), installEmbedded(home)]);
    expect(new Set(bins).size).toBe(1);
    const bin = bins[0]!;
    const engines = await readdir(join(home, 'engines'));
    expect(engines.filter((name) => !name.includes('999999999'))).toHaveLength(1);
    expect(await readlink(join(bin, '../lib/libpq.so.5'))).toMatch(/^libpq\.so\.5\.\d+$/);
    expect((await stat(join(bin, 'postgres'))).mode & 0o777).toBe(0o755);
    expect((await stat(join(bin, '../lib/libpq.so.5'))).mode & 0o444).toBe(0o444);
    expect((await stat(join(bin, '..'))).mode & 0o777).toBe(0o755);
    expect((await run(join(bin, 'initdb'), ['--version'])).stdout).toContain('PostgreSQL');
  } finally {
    process.umask(umask);
  }
});

test('a removal that is killed leaves no half under the name that the next one runs', async () => {
  const bin = (await installEmbedded(home))!;
  const program = `import { removeEngines } from ${JSON.stringify(join(import.meta.dirname, 'embedded.ts'))}; await removeEngines(${JSON.stringify(home)});`;
  const removing = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], { stdio: 'inherit' });
  const ended = once(removing, 'exit');
  while (removing.exitCode === null && existsSync(join(bin, 'postgres'))) await sleep(1);
  removing.kill('SIGKILL');
  await ended;
  expect(existsSync(join(bin, 'postgres'))).toBe(false);

  expect((await run(join((await installEmbedded(home))!, 'postgres'), ['--version'])).stdout).toContain('PostgreSQL');
  expect(await readdir(join(home, 'engines'))).toEqual([basename(join(bin, '..'))]);
  await removeEngines(home);
  expect(await readdir(home)).toEqual([]);
});

test('a version that is asked for is found, and the embedded one where no other has it', async () => {
  const engines = await listEngines(home);
  for (const { major, bin } of engines) {
    expect((await findEngine({ kind: 'postgres', version: major, bin: null }, home)).major).toBe(major);
    expect((await findEngine({ kind: 'postgres', version: null, bin }, home)).source).toBe('folder');
    await expect(findEngine({ kind: 'postgres', version: major === 15 ? 16 : 15, bin }, home)).rejects.toMatchObject({ code: 'engine-missing' });
  }
  const installed = engines.filter((engine) => engine.source !== 'embedded').map((engine) => engine.major);
  const embedded = engines.filter((engine) => engine.source === 'embedded').map((engine) => engine.major);
  const best = await findEngine({ kind: 'postgres', version: null, bin: null }, home);
  expect(best.major).toBe(installed.length > 0 ? Math.max(...installed) : embedded[0]);
  expect(best.tools.has('initdb')).toBe(true);
});
