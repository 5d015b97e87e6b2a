import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { readState, writeState } from './file.ts';

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'pgorbit-state-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

it('gives back what was written, and replaces it whole', async () => {
  const dir = await folder();
  const file = join(dir, 'state');
  await writeState(file, { version: 1, value: { name: 'überlang'.repeat(1000) } });
  await writeState(file, { version: 2, value: ['Straße', null, 3.5] });
  expect(await readState(file)).toEqual({ version: 2, value: ['Straße', null, 3.5] });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(dir)).toEqual(['state']);
});

it('tells a missing file from a damaged one', async () => {
  expect(await readState(join(await folder(), 'state'))).toBeNull();
});

it('refuses a file with any one byte changed, cut short, empty or foreign', async () => {
  const file = join(await folder(), 'state');
  await writeState(file, { version: 1, value: { key: 'value' } });
  const good = await readFile(file);
  for (let at = 0; at < good.length; at++) {
    const bad = Buffer.from(good);
    bad[at] = bad[at]! ^ 0x01;
    await writeFile(file, bad);
    await expect(readState(file), `byte ${at}`).rejects.toMatchObject({ code: 'state-corrupt' });
  }
  for (const length of [0, 1, good.length - 1]) {
    await writeFile(file, good);
    await truncate(file, length);
    await expect(readState(file), `length ${length}`).rejects.toMatchObject({ code: 'state-corrupt' });
  }
  await writeFile(file, '{"version":1,"value":{}}\n');
  await expect(readState(file)).rejects.toMatchObject({ code: 'state-corrupt', hint: expect.stringContaining('backup') });
});

it('leaves nothing behind when it cannot write', async () => {
  const dir = await folder();
  await writeState(join(dir, 'state'), { version: 1, value: 'old' });
  await expect(writeState(join(dir, 'missing', 'state'), { version: 1, value: 1 })).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(writeState(dir, { version: 1, value: 1 })).rejects.toMatchObject({ code: 'EISDIR' });
  expect(await readdir(dir)).toEqual(['state']);
});
