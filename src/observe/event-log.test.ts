import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { EventDraft } from './event.ts';
import { EventLog } from './event-log.ts';

const draft = (message: string): EventDraft => ({ level: 'info', kind: 'member-joined', message });

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'pgorbit-events-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function open(file: string, limit?: number): EventLog {
  return new EventLog({
    file,
    host: 'h1',
    now: () => 0,
    onError: (error) => {
      throw error;
    },
    ...(limit === undefined ? {} : { limit }),
  });
}

it('adds time, sequence and host', () => {
  const log = open(join(folder(), 'events'));
  expect(log.sequence).toBe(0);
  expect(log.append({ ...draft('n1 joined'), group: 'main', member: 'n1' })).toEqual({
    time: '1970-01-01T00:00:00.000Z',
    sequence: 1,
    host: 'h1',
    group: 'main',
    member: 'n1',
    level: 'info',
    kind: 'member-joined',
    message: 'n1 joined',
    operation: null,
  });
});

it('tells what came after a sequence, up to a limit', () => {
  const log = open(join(folder(), 'events'));
  for (let n = 1; n <= 10; n++) log.append(draft(`event ${n}`));
  expect(log.after(7, 100).map((event) => event.sequence)).toEqual([8, 9, 10]);
  expect(log.after(0, 3).map((event) => event.sequence)).toEqual([1, 2, 3]);
  expect(log.after(10, 3)).toEqual([]);
});

it('counts on after a restart, and still knows what was before', () => {
  const file = join(folder(), 'events');
  open(file).append(draft('before'));
  const again = open(file);
  expect(again.append(draft('after')).sequence).toBe(2);
  expect(again.after(0, 10).map((event) => event.message)).toEqual(['before', 'after']);
});

it('passes over a line that a crash tore, and writes the next one whole', () => {
  const file = join(folder(), 'events');
  const first = open(file);
  first.append(draft('one'));
  first.append(draft('two'));
  truncateSync(file, statSync(file).size - 10);
  const second = open(file);
  expect(second.after(0, 10).map((event) => event.message)).toEqual(['one']);
  second.append(draft('three'));
  expect(open(file).after(0, 10).map((event) => event.message)).toEqual(['one', 'three']);
  appendFileSync(file, '\0\0\0');
  expect(open(file).sequence).toBe(2);
});

it('keeps to two files of the limit, and goes on counting', () => {
  const file = join(folder(), 'events');
  const log = open(file, 2_000);
  for (let n = 1; n <= 1_000; n++) log.append(draft(`event ${n}`));
  expect(statSync(file).size).toBeLessThanOrEqual(2_000);
  expect(statSync(`${file}.1`).size).toBeLessThanOrEqual(2_000);
  // From the files, which hold less than memory does.
  const sequences = open(file, 2_000).after(0, 1_000).map((event) => event.sequence);
  expect(sequences.at(-1)).toBe(1_000);
  expect(sequences).toEqual(sequences.map((_, index) => sequences[0]! + index));
  expect(open(file, 2_000).append(draft('next')).sequence).toBe(1_001);
});

it('reads older events than it holds in memory from the files', () => {
  const log = open(join(folder(), 'events'));
  for (let n = 1; n <= 500; n++) log.append(draft(`event ${n}`));
  expect(log.after(0, 1_000).length).toBe(500);
  expect(log.after(2, 1).map((event) => event.message)).toEqual(['event 3']);
});

it('wakes those who wait, and does not keep waiting for one that has gone', async () => {
  const log = open(join(folder(), 'events'));
  const waiting = log.wait(0, 60_000);
  const caller = new AbortController();
  const leaving = log.wait(0, 60_000, caller.signal);
  caller.abort();
  expect(await leaving).toEqual([]);
  log.append(draft('one'));
  expect((await waiting).map((event) => event.message)).toEqual(['one']);
  expect((await log.wait(0, 60_000)).length).toBe(1);
  expect(await log.wait(1, 1)).toEqual([]);
});

it('serves a follower that knows of more events than a crash left', async () => {
  const log = open(join(folder(), 'events'));
  log.append(draft('one'));
  const waiting = log.wait(7, 60_000);
  log.append(draft('two'));
  expect((await waiting).map((event) => event.message)).toEqual(['two']);
});

it('still tells events that it could not write', () => {
  const dir = folder();
  const errors: unknown[] = [];
  const log = new EventLog({ file: join(dir, 'missing', 'events'), host: 'h1', onError: (error) => errors.push(error) });
  log.append(draft('one'));
  expect(log.after(0, 10).length).toBe(1);
  expect(errors).toEqual([expect.objectContaining({ code: 'ENOENT' })]);
});

it('writes one JSON document a line', () => {
  const file = join(folder(), 'events');
  open(file).append(draft('two\nlines'));
  expect(readFileSync(file, 'utf8').split('\n').length).toBe(2);
});
