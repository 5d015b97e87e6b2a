import { closeSync, existsSync, fstatSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Spares } from './spares.ts';

const SIZE = 2 << 20;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-spares-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const fail = (error: unknown): never => {
  throw error;
};

it('makes one of full size ahead, all of it on disk, and the next when that is taken', async () => {
  const ending = new AbortController();
  const spares = new Spares(dir, 2);
  const work = spares.keepReady(() => SIZE, ending.signal, fail);
  for (const name of ['first', 'second']) {
    await vi.waitUntil(() => existsSync(join(dir, 'spare.0')));
    const fd = spares.take(name)!;
    expect(fstatSync(fd).size).toBe(SIZE);
    expect(fstatSync(fd).blocks * 512).toBeGreaterThanOrEqual(SIZE); // no holes
    closeSync(fd);
    expect(readFileSync(join(dir, name)).equals(Buffer.alloc(SIZE))).toBe(true);
  }
  ending.abort();
  await work;
});

it('makes none where none is wanted, while the size is not known, or while an old one is left', async () => {
  writeFileSync(join(dir, 'spare.new'), 'of one that was interrupted');
  const ended = AbortSignal.timeout(300);
  await Promise.all([new Spares(dir, 0).keepReady(() => SIZE, ended, fail), new Spares(dir, 2).keepReady(() => 0, ended, fail)]);
  expect(readdirSync(dir)).toEqual([]);
  writeFileSync(join(dir, 'old'), 'old');
  const spares = new Spares(dir, 1);
  expect(spares.put('old')).toBe(true);
  writeFileSync(join(dir, 'older'), 'older');
  expect(spares.put('older')).toBe(false);
  await spares.keepReady(() => SIZE, AbortSignal.timeout(300), fail);
  expect(readdirSync(dir).sort()).toEqual(['older', 'spare.0']);
  closeSync(spares.take('new')!);
  expect(readFileSync(join(dir, 'new'), 'utf8')).toBe('old');
});

it('tells of a disk that refuses, leaves nothing half-made, and goes on', async () => {
  const ending = new AbortController();
  const told: unknown[] = [];
  const spares = new Spares(join(dir, '.'), 1);
  rmSync(dir, { recursive: true });
  const work = spares.keepReady(() => SIZE, ending.signal, (error) => told.push(error));
  await vi.waitUntil(() => told.length > 0);
  ending.abort();
  await work;
  expect(String(told[0])).toMatch(/ENOENT/);
});
