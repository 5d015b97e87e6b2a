import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeChecksum } from '../../engine/basebackup/checksum.ts';
import { BLOCK_BYTES, headerBytes } from './header.ts';
import { type Rebuilt, rebuildFile } from './rebuild.ts';

let dir: string;
let made = 0;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-rebuild-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A file of a relation as what is in each of its blocks: a number, 0 where nothing is. */
type File = readonly number[];
type Incremental = { truncation: number; blocks: [number, number][] };

const blockOf = (content: number): Buffer => Buffer.alloc(BLOCK_BYTES, Buffer.from(`${content === 0 ? '\0' : content};`));
const ZERO = Buffer.alloc(BLOCK_BYTES);
const bytesOf = (file: File): Buffer => Buffer.concat(file.map((content) => (content === 0 ? ZERO : blockOf(content))));

function headerOf(magic: number, count: number, truncation: number, numbers: readonly number[]): Buffer {
  const header = Buffer.alloc(headerBytes(numbers.length));
  for (const [at, value] of [magic, count, truncation, ...numbers].entries()) header.writeUInt32LE(value, 4 * at);
  return header;
}
const encode = ({ truncation, blocks }: Incremental): Buffer =>
  Buffer.concat([headerOf(0xd3ae1f0d, blocks.length, truncation, blocks.map(([number]) => number)), ...blocks.map(([, content]) => blockOf(content))]);

/** @param parts the whole file first. */
async function rebuilt(parts: readonly Buffer[]): Promise<{ result: Rebuilt; bytes: Buffer }> {
  const files = parts.map((bytes, index) => {
    const file = join(dir, `${made++}`);
    writeFileSync(file, bytes);
    return { file: Buffer.from(file), shown: `part ${index}`, whole: index === 0 };
  });
  const to = join(dir, `${made++}`);
  const layers = files.toReversed();
  const result = await rebuildFile(layers, Buffer.from(to), 'CRC32C', new AbortController().signal);
  return { result, bytes: readFileSync('copyOf' in result ? layers[result.copyOf]!.file : to) };
}

async function expectFile(parts: readonly Buffer[], expected: File): Promise<Rebuilt> {
  const { result, bytes } = await rebuilt(parts);
  expect(bytes.equals(bytesOf(expected))).toBe(true);
  if (!('copyOf' in result)) {
    const sum = makeChecksum('CRC32C');
    sum.update(bytes);
    expect(result).toEqual({ size: bytes.length, hex: sum.hex() });
  }
  return result;
}

/** What a file becomes by one incremental backup of it, as the documentation of the format says it. */
function applied(file: File, { truncation, blocks }: Incremental): File {
  const has = new Map(blocks);
  const length = Math.max(truncation, ...blocks.map(([number]) => number + 1));
  return Array.from({ length }, (_, block) => has.get(block) ?? (block < truncation ? (file[block] ?? 0) : 0));
}

describe('rebuildFile', () => {
  it('is one incremental backup applied after the other', async () => {
    const block = fc.integer({ min: 0, max: 11 });
    const incremental = fc.record({ truncation: fc.integer({ min: 0, max: 12 }), blocks: fc.uniqueArray(fc.tuple(block, fc.integer({ min: 1, max: 99 })), { selector: ([number]) => number, maxLength: 6 }) });
    await fc.assert(fc.asyncProperty(fc.array(fc.nat(99), { maxLength: 12 }), fc.array(incremental, { minLength: 1, maxLength: 4 }), async (full, later) => {
      await expectFile([bytesOf(full), ...later.map(encode)], later.reduce(applied, full));
    }), { numRuns: 100 });
  });

  it('is what the server has, whatever it does between backups and however much of it WAL tells', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('write' as const), at: fc.nat(15), content: fc.integer({ min: 1, max: 99 }) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), to: fc.integer({ min: 1, max: 15 }) }) },
      // A relation grows by blocks of zeroes that no WAL speaks of.
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('extend' as const), by: fc.integer({ min: 1, max: 4 }) }) },
      { weight: 2, arbitrary: fc.constant({ kind: 'backup' as const }) },
    );
    await fc.assert(fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 99 }), { minLength: 1, maxLength: 12 }), fc.array(step, { maxLength: 25 }), async (full, steps) => {
      const file = [...full];
      const parts = [bytesOf(full)];
      let changed = new Map<number, number>();
      let limit = Infinity;
      // GetFileBackupMethod() of basebackup_incremental.c.
      const backup = (): void => {
        parts.push(encode({ truncation: Math.max(file.length, limit === Infinity ? 0 : limit), blocks: [...changed].sort(([a], [b]) => a - b) }));
        changed = new Map();
        limit = Infinity;
      };
      for (const one of steps) {
        if (one.kind === 'backup') backup();
        else if (one.kind === 'extend') {
          // What was cut off and grows again before the next backup the server itself cannot tell from what was not touched.
          if (limit === Infinity) for (let n = 0; n < one.by; n++) file.push(0);
        } else if (one.kind === 'truncate') {
          if (one.to >= file.length) continue;
          file.length = one.to;
          limit = Math.min(limit, one.to);
          for (const block of changed.keys()) if (block >= one.to) changed.delete(block);
        } else {
          const at = Math.min(one.at, file.length);
          file[at] = one.content;
          changed.set(at, one.content);
        }
      }
      backup();
      await expectFile(parts, file);
    }), { numRuns: 200 });
  });

  it('does not bring back what was before a truncation that a backup between has seen', async () => {
    const parts = [bytesOf([1, 2, 3, 4]), encode({ truncation: 1, blocks: [] }), encode({ truncation: 4, blocks: [[2, 9]] })];
    await expectFile(parts, [1, 0, 9, 0]);
  });

  it('takes a file that is the same as it is, and no other', async () => {
    const same = [bytesOf([1, 2]), encode({ truncation: 2, blocks: [] }), encode({ truncation: 2, blocks: [] })];
    expect(await expectFile(same, [1, 2])).toEqual({ copyOf: 2 });
    expect(await expectFile([bytesOf([1, 2, 3]), encode({ truncation: 2, blocks: [] })], [1, 2])).toMatchObject({ size: 2 * BLOCK_BYTES });
    expect(await expectFile([bytesOf([1]), encode({ truncation: 2, blocks: [] })], [1, 0])).toMatchObject({ size: 2 * BLOCK_BYTES });
  });

  it('goes over more than it reads at once', async () => {
    const full = Array.from({ length: 700 }, (_, block) => block + 1);
    const blocks = Array.from({ length: 300 }, (_, n): [number, number] => [n < 150 ? n : 400 + n, 10_000 + n]);
    await expectFile([bytesOf(full), encode({ truncation: 705, blocks })], applied(full, { truncation: 705, blocks }));
  });

  it('an empty file is one', async () => {
    await expectFile([bytesOf([1, 2]), encode({ truncation: 0, blocks: [] })], []);
    await expectFile([bytesOf([]), encode({ truncation: 1, blocks: [[0, 5]] })], [5]);
  });

  const sound = encode({ truncation: 2, blocks: [[0, 7]] });
  it.each([
    ['a wrong beginning', headerOf(0xd3ae1f0e, 0, 2, []), 'it does not begin as one'],
    ['a header cut short', sound.subarray(0, 10), 'it ends after 10 bytes'],
    ['a block cut short', sound.subarray(0, -1), `it has ${sound.length - 1} bytes, and with 1 blocks it would have ${sound.length}`],
    ['something behind', Buffer.concat([sound, Buffer.from('x')]), `it has ${sound.length + 1} bytes`],
    ['too many blocks', headerOf(0xd3ae1f0d, 131_073, 2, []), 'it speaks of 131073 blocks'],
    ['too long a file', headerOf(0xd3ae1f0d, 0, 131_073, []), 'it speaks of 131073 blocks'],
    ['a block twice', encode({ truncation: 2, blocks: [[0, 7], [0, 8]] }), 'its block numbers are none'],
    ['a block beyond every file', encode({ truncation: 2, blocks: [[131_072, 7]] }), 'its block numbers are none'],
  ])('refuses %s, by name', async (_, part, what) => {
    await expect(rebuilt([bytesOf([1, 2]), part])).rejects.toMatchObject({ code: 'backup-damaged', message: expect.stringContaining(`part 1 is no sound part of an incremental backup: ${what}`) });
  });
});
