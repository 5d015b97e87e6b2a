import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findEngine, parseVersion } from './find.ts';

let bin: string;
beforeEach(async () => {
  bin = await mkdtemp(join(tmpdir(), 'pgorbit-test-'));
});
afterEach(() => rm(bin, { recursive: true, force: true }));

async function fake(version: string): Promise<void> {
  for (const name of ['postgres', 'initdb']) {
    await writeFile(join(bin, name), `#!/bin/sh\necho "${name} (PostgreSQL) ${version}"\n`);
    await chmod(join(bin, name), 0o755);
  }
}
const find = (version: number | null): Promise<unknown> => findEngine({ kind: 'postgres', version, bin }, '/nonexistent');

test.each([
  ['postgres (PostgreSQL) 18.4', { major: 18, version: '18.4' }],
  ['postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)', { major: 15, version: '15.20' }],
  ['postgres (PostgreSQL) 19beta1', { major: 19, version: '19beta1' }],
  ['postgres (PostgreSQL) 20devel', { major: 20, version: '20devel' }],
  ['something else 18.4', null],
])('%s', (output, expected) => {
  expect(parseVersion(output)).toEqual(expected);
});

test('a folder that is named must hold the programs, of a version that is supported and asked for', async () => {
  await expect(find(null)).rejects.toMatchObject({ code: 'engine-missing', message: expect.stringContaining(bin) });
  await fake('16.3');
  expect(await find(null)).toEqual({ major: 16, version: '16.3', bin, source: 'folder', tools: new Set(['initdb', 'postgres']) });
  expect(await find(16)).toMatchObject({ major: 16 });
  await expect(find(17)).rejects.toMatchObject({ code: 'engine-missing', hint: expect.stringContaining('16') });
  await fake('14.9');
  await expect(find(null)).rejects.toMatchObject({ message: expect.stringContaining('pg_backup_start') });
  await fake('19beta1');
  await expect(find(null)).rejects.toMatchObject({ message: expect.stringContaining('newer') });
});

test('a version that pgorbit does not run is refused before anything is searched', async () => {
  await expect(findEngine({ kind: 'postgres', version: 14, bin: null }, '/nonexistent')).rejects.toMatchObject({ code: 'engine-missing', hint: expect.stringContaining('15 to 18') });
});
