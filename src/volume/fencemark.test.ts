import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readFenced, requireUnfenced, setFenced } from './fencemark.ts';
import { testFolder } from './testing/folder.ts';

test('a fence says the term that set it, and a lower term does not lower it', async () => {
  const dir = await testFolder();
  expect(await readFenced(dir)).toBeNull();
  await expect(requireUnfenced(dir)).resolves.toBeUndefined();
  await setFenced(dir, 4);
  await setFenced(dir, 3);
  expect(await readFenced(dir)).toBe(4);
  await setFenced(dir, 9);
  await expect(requireUnfenced(dir)).rejects.toThrow(/fenced by term 9/);
});

test('a fence that cannot be read fences', async () => {
  const dir = await testFolder();
  await writeFile(join(dir, 'fenced'), '');
  await expect(requireUnfenced(dir)).rejects.toMatchObject({ code: 'fenced' });
});
