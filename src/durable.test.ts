import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { KeptReads, writeDurably } from './durable.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pgorbit-durable-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true, force: true });
});

it('reads a file again when it is another one, was changed, or has only just been written', async () => {
  const file = join(dir, 'small');
  const kept = new KeptReads();
  let reads = 0;
  const read = (): Promise<string | null> => kept.of(file, async () => {
    reads += 1;
    return readFile(file, 'utf8').catch(() => null);
  });
  expect(await read()).toBeNull();
  await writeDurably(file, 'one');
  expect(await read()).toBe('one');
  // The file system's clock may not have moved on since: another change would not show.
  expect(await read()).toBe('one');
  expect(reads).toBe(3);
  const later = Date.now() + 10_000;
  vi.spyOn(Date, 'now').mockReturnValue(later);
  await read();
  expect(await read()).toBe('one');
  expect(reads).toBe(4);
  await writeDurably(file, 'two');
  expect(await read()).toBe('two');
  await writeFile(file, 'six');
  await utimes(file, 1, 1);
  expect(await read()).toBe('six');
  await rm(file);
  expect(await read()).toBeNull();
  expect(await read()).toBeNull();
  expect(reads).toBe(8);
});
