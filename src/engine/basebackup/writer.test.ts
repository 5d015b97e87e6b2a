import { mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Slabs } from './slabs.ts';
import { TreeWriter } from './writer.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-writer-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const arriving = Buffer.alloc(60_000);
/** A read to memory that the next one overwrites. */
const arrive = (byte: number): Buffer => arriving.fill(byte);

it('writes what arrived, though the memory is used again, and owes nothing at the end', async () => {
  const memory = new Slabs();
  const failures: unknown[] = [];
  const writer = new TreeWriter(dir, null, memory, () => {}, (error) => failures.push(error));
  writer.folder('base');
  const sums = new Map<string, number>();
  for (let n = 0; n < 30; n++) {
    const path = `base/${n}`;
    const file = writer.file(path);
    for (let piece = 0; piece < n; piece++) {
      file.add(arrive(n * 30 + piece));
      if (writer.backlog > 2_000_000) await new Promise((resolve) => setImmediate(resolve));
    }
    file.end();
    sums.set(path, n * 60_000);
  }
  await writer.settled();
  expect(failures).toEqual([]);
  expect(writer.backlog).toBe(0);
  expect(statSync(join(dir, 'base')).mode & 0o777).toBe(0o700);
  for (const [path, size] of sums) {
    const n = Number(path.slice(5));
    const content = readFileSync(join(dir, path));
    expect(content.length).toBe(size);
    for (let piece = 0; piece < n; piece++) expect(content.subarray(piece * 60_000, (piece + 1) * 60_000).every((byte) => byte === ((n * 30 + piece) & 0xff)), `${path} ${piece}`).toBe(true);
    expect(statSync(join(dir, path)).mode & 0o777).toBe(0o600);
  }
});

it('tells of the first failure once, and ends every file', async () => {
  const memory = new Slabs();
  const failures: unknown[] = [];
  const writer = new TreeWriter(dir, null, memory, () => {}, (error) => failures.push(error));
  const files = ['there', 'no/such/folder', 'nor/this', 'late'].map((path) => writer.file(path));
  for (const file of files) file.add(Buffer.from('x')); // none is ended
  await writer.settled();
  expect(failures).toHaveLength(1);
  expect(failures[0]).toMatchObject({ code: 'ENOENT' });
  expect(openFiles().filter((path) => path.startsWith(dir))).toEqual([]);
});

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // the one that listed them
    }
  });
}
