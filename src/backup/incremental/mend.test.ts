import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ManifestFile } from '../../engine/basebackup/manifest.ts';
import type { ControlData } from '../../engine/control.ts';
import { BLOCK_BYTES, SEGMENT_BLOCKS, headerBytes } from './header.ts';
import { mendMap } from './mend.ts';
import { pageChecksum } from './page.ts';
import { TABLE_BLOCKS } from './visibility.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-mend-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

type Backup = Parameters<typeof mendMap>[0][number];

/** A backup with whole files of so many blocks, and incremental ones with the blocks that are named. */
function backup(name: string, whole: Record<string, number>, parts: Record<string, { truncation: number; blocks: number[] }>): Backup {
  const folder = join(dir, name);
  mkdirSync(join(folder, 'base', '5'), { recursive: true });
  const paths: string[] = [];
  const make = (file: string, bytes: Buffer, size: number): void => {
    writeFileSync(join(folder, 'base', '5', file), bytes);
    truncateSync(join(folder, 'base', '5', file), size); // sparse: a segment of 1 GB takes no room
    paths.push(`base/5/${file}`);
  };
  for (const [file, blocks] of Object.entries(whole)) make(file, Buffer.alloc(0), blocks * BLOCK_BYTES);
  for (const [file, { truncation, blocks }] of Object.entries(parts)) {
    const header = Buffer.alloc(headerBytes(blocks.length));
    for (const [at, value] of [0xd3ae1f0d, blocks.length, truncation, ...blocks].entries()) header.writeUInt32LE(value, 4 * at);
    make(`INCREMENTAL.${file}`, header, header.length + blocks.length * BLOCK_BYTES);
  }
  const files = new Map(paths.map((path): [string, ManifestFile] => [path, { path, size: 0, checksum: null }]));
  return { dir: folder, control: { dataChecksumVersion: 1 } as ControlData, manifest: { systemIdentifier: '7', files, walRanges: [] } };
}

/** Blocks of the table of which a map of `pages` pages, all set, says nothing any more. */
async function cleared(all: Backup[], layer: number, pages: number): Promise<number[]> {
  const map = Buffer.alloc(pages * BLOCK_BYTES, 0xff);
  await mendMap(all, 'base/5/9')(map, 0, layer);
  const found: number[] = [];
  for (let page = 0; page < pages; page++) {
    const bytes = map.subarray(page * BLOCK_BYTES, (page + 1) * BLOCK_BYTES);
    const changed = bytes.subarray(24).some((byte) => byte !== 0xff);
    expect(bytes.readUInt16LE(8)).toBe(changed ? pageChecksum(bytes, page) : 0xffff);
    for (let block = 0; block < TABLE_BLOCKS; block++) if ((bytes[24 + (block >> 2)]! & (3 << (2 * (block % 4)))) === 0) found.push(page * TABLE_BLOCKS + block);
  }
  return found;
}

/** All blocks that a map of `pages` pages speaks of, from `first` on. */
const from = (first: number, pages: number): number[] => Array.from({ length: pages * TABLE_BLOCKS - first }, (_, n) => first + n);
const END = SEGMENT_BLOCKS + 20_000;

it('clears what changed since the map, over the segments of a table, and what lies behind its end', async () => {
  const full = backup('full', { '9': SEGMENT_BLOCKS, '9.1': 20_000 }, {});
  const first = backup('first', {}, { '9': { truncation: SEGMENT_BLOCKS, blocks: [3, SEGMENT_BLOCKS - 1] }, '9.1': { truncation: 20_000, blocks: [0] } });
  const second = backup('second', {}, { '9': { truncation: SEGMENT_BLOCKS, blocks: [7] }, '9.1': { truncation: 20_000, blocks: [19_999] } });
  const all = [full, first, second];
  expect(await cleared(all, 2, 5)).toEqual([3, 7, SEGMENT_BLOCKS - 1, SEGMENT_BLOCKS, ...from(END - 1, 5)]);
  expect(await cleared(all, 1, 5)).toEqual([7, ...from(END - 1, 5)]);
  expect(await cleared(all, 0, 5)).toEqual(from(END, 5));
});

it('takes a table that a later backup has as a whole for changed, and blocks of zeroes too', async () => {
  const full = backup('full', { '9': 10 }, {});
  expect(await cleared([full, backup('whole', { '9': 10 }, {})], 1, 1)).toEqual(from(0, 1));
  expect(await cleared([full, backup('grown', {}, { '9': { truncation: 12, blocks: [] } })], 1, 1)).toEqual(from(10, 1));
  // Cut to two blocks and grown again: what the map says of the others is of before.
  expect(await cleared([full, backup('cut', {}, { '9': { truncation: 2, blocks: [] } }), backup('again', {}, { '9': { truncation: 10, blocks: [4] } })], 2, 1)).toEqual(from(2, 1));
  expect(await cleared([full, backup('gone', {}, {})], 1, 1)).toEqual(from(0, 1));
});
