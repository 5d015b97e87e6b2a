import { appendFileSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { rotateLog } from './rotate.ts';
import { readLog } from './tail.ts';

let file: string;
beforeEach(() => {
  const dir = mkdtempSync(join(tmpdir(), 'pgorbit-log-'));
  file = join(dir, 'postgres.log');
  return () => rmSync(dir, { recursive: true, force: true });
});

describe('readLog', () => {
  it('starts with the last lines, and goes on where it ended', async () => {
    writeFileSync(file, 'one\ntwo\nthree\n');
    const last = await readLog(file, -1, 2);
    expect(last).toEqual({ text: 'two\nthree\n', offset: 14 });
    expect(await readLog(file, last.offset, 2)).toEqual({ text: '', offset: 14 });
    appendFileSync(file, 'four\nfi');
    expect(await readLog(file, last.offset, 2)).toEqual({ text: 'four\n', offset: 19 });
    appendFileSync(file, 've\n');
    expect(await readLog(file, 19, 2)).toEqual({ text: 'five\n', offset: 24 });
  });

  it('gives all lines where there are fewer, and none for 0', async () => {
    writeFileSync(file, '\n\none\n');
    expect((await readLog(file, -1, 99)).text).toBe('\n\none\n');
    expect((await readLog(file, -1, 2)).text).toBe('\none\n');
    expect(await readLog(file, -1, 0)).toEqual({ text: '', offset: 6 });
    writeFileSync(file, 'unfinished');
    expect(await readLog(file, -1, 5)).toEqual({ text: '', offset: 0 });
  });

  it('reads a missing or empty file as empty', async () => {
    expect(await readLog(file, 7, 10)).toEqual({ text: '', offset: 0 });
    writeFileSync(file, '');
    expect(await readLog(file, -1, 10)).toEqual({ text: '', offset: 0 });
  });

  it('begins anew when the file was cut', async () => {
    writeFileSync(file, 'a long line that goes\n');
    const { offset } = await readLog(file, -1, 10);
    truncateSync(file, 0);
    appendFileSync(file, 'new\n');
    expect(await readLog(file, offset, 10)).toEqual({ text: 'new\n', offset: 4 });
  });

  it('reads a large file in bounded pieces that add up, multi-byte characters whole', async () => {
    const text = `${'ä'.repeat(99)}\n`.repeat(5_000);
    writeFileSync(file, text);
    let [read, offset, pieces] = ['', 0, 0];
    for (;;) {
      const piece = await readLog(file, offset, 10);
      if (piece.text === '') break;
      read += piece.text;
      offset = piece.offset;
      pieces++;
    }
    expect(read).toBe(text);
    expect(pieces).toBeGreaterThan(1);
  });

  it('does not stand still before an endless line', async () => {
    writeFileSync(file, 'x'.repeat(1_000_000));
    expect((await readLog(file, 0, 10)).offset).toBeGreaterThan(0);
  });
});

describe('rotateLog', () => {
  it('leaves a file within its limit, and one that is missing', async () => {
    expect(await rotateLog(file, 10)).toBe(false);
    writeFileSync(file, '0123456789');
    expect(await rotateLog(file, 10)).toBe(false);
    expect(existsSync(`${file}.1`)).toBe(false);
  });

  it('keeps one old file, while a writer with an open descriptor goes on at the start', async () => {
    const writer = openSync(file, 'a');
    onTestFinished(() => closeSync(writer));
    writeSync(writer, 'first\n');
    expect(await rotateLog(file, 3)).toBe(true);
    writeSync(writer, 'second\n');
    expect(readFileSync(file, 'utf8')).toBe('second\n');
    expect(readFileSync(`${file}.1`, 'utf8')).toBe('first\n');
    expect(await rotateLog(file, 3)).toBe(true);
    expect(statSync(file).size).toBe(0);
    expect(readFileSync(`${file}.1`, 'utf8')).toBe('second\n');
  });

  it('takes lines along that came while the bulk was copied', async () => {
    writeFileSync(file, 'x'.repeat(5_000_000));
    const rotating = rotateLog(file, 3);
    appendFileSync(file, 'late\n');
    expect(await rotating).toBe(true);
    expect(readFileSync(`${file}.1`, 'utf8').slice(-5)).toBe('late\n');
  });
});
