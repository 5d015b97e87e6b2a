import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Entry, HardState, Snapshot } from '../core/types.ts';
import { FileLog } from './file-log.ts';
import { encodeFrame, scanFrames } from './frame.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-raft-log-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const entry = (index: number, term: number, data = `d${index}`): Entry => ({ index, term, kind: 'data', data });
const hard = (term: number, commit: number, vote: string | null = 'a'): HardState => ({ term, vote, commit });
const snap = (index: number, term: number): Snapshot => ({ index, term, conf: { voters: ['a', 'b'], learners: [] }, data: `s${index}` });
const save = (log: FileLog, hardState: HardState | null, entries: Entry[], snapshot: Snapshot | null = null): Promise<void> =>
  log.save({ hardState, entries, snapshot, mustSync: true });
const segments = (): string[] => readdirSync(dir).filter((name) => name.startsWith('log-')).sort();

async function reopened(options = {}): Promise<FileLog> {
  const log = await FileLog.open(dir, options);
  await log.close();
  return log;
}

/** A log of five frames: the last two hold entries 4 and 5, and 6. */
async function sample(): Promise<void> {
  const log = await FileLog.open(dir);
  await log.bootstrap(snap(1, 0));
  await save(log, hard(1, 1), [entry(2, 1)]);
  await save(log, hard(1, 2), [entry(3, 1)]);
  await save(log, hard(2, 3), [entry(4, 2), entry(5, 2)]);
  await save(log, hard(2, 5), [entry(6, 2)]);
  await log.close();
}

describe('FileLog', () => {
  it('is blank at first, and gives back what was saved', async () => {
    expect((await reopened()).blank).toBe(true);
    await sample();
    const log = await reopened();
    expect(log.blank).toBe(false);
    expect(log.notes).toEqual([]);
    expect(log.start).toEqual({
      hardState: hard(2, 5), snapshot: snap(1, 0), entries: [entry(2, 1), entry(3, 1), entry(4, 2), entry(5, 2), entry(6, 2)],
    });
    await expect(log.bootstrap(snap(1, 0))).rejects.toMatchObject({ code: 'unsafe' });
  });

  it('keeps files to their owner', async () => {
    await sample();
    for (const name of readdirSync(dir)) expect(statSync(join(dir, name)).mode & 0o077).toBe(0);
  });

  it('replaces what follows an entry that is written again', async () => {
    await sample();
    const log = await FileLog.open(dir);
    await save(log, hard(3, 3), [entry(4, 3, 'other')]);
    await log.close();
    expect((await reopened()).start.entries).toEqual([entry(2, 1), entry(3, 1), entry(4, 3, 'other')]);
  });

  it('lets a commit index wait for the next frame', async () => {
    await sample();
    const log = await FileLog.open(dir);
    await log.save({ hardState: hard(2, 6), entries: [], snapshot: null, mustSync: false });
    expect((await reopened()).start.hardState.commit).toBe(5);
    await save(log, null, [entry(7, 2)]);
    await log.close();
    expect((await reopened()).start.hardState.commit).toBe(6);
  });

  it('cuts off a last write that is cut short anywhere, says so, and goes on', async () => {
    await sample();
    const pristine = `${dir}-pristine`;
    cpSync(dir, pristine, { recursive: true });
    try {
      const file = join(dir, segments()[0]!);
      const whole = readFileSync(file);
      const ends = frameEnds(whole);
      for (let size = ends.at(-3)!; size < whole.length; size += 1) {
        truncateSync(file, size);
        const log = await FileLog.open(dir);
        const intact = ends.filter((end) => end <= size);
        expect(log.start.entries.map(({ index }) => index)).toEqual(intact.length === ends.length - 1 ? [2, 3, 4, 5] : [2, 3]);
        expect(log.notes).toHaveLength(intact.at(-1) === size ? 0 : 1);
        const next = log.start.entries.at(-1)!.index + 1;
        await save(log, null, [entry(next, 3)]);
        await log.close();
        expect((await reopened()).start.entries.at(-1)).toEqual(entry(next, 3));
        cpSync(pristine, dir, { recursive: true });
      }
    } finally {
      rmSync(pristine, { recursive: true, force: true });
    }
  }, 60_000);

  it('takes a last write of which some bytes never arrived for unfinished, wherever they are', async () => {
    await sample();
    const file = join(dir, segments()[0]!);
    const whole = readFileSync(file);
    const from = frameEnds(whole).at(-2)!;
    for (let at = from; at < whole.length; at += 1) {
      const torn = Buffer.from(whole);
      torn[at] = torn[at]! ^ 0xff;
      writeFileSync(file, torn);
      const log = await reopened();
      expect(log.start.entries.map(({ index }) => index)).toEqual([2, 3, 4, 5]);
      expect(log.notes[0]).toContain('unfinished write');
    }
  }, 60_000);

  it('refuses a log that is damaged before its last write', async () => {
    await sample();
    const file = join(dir, segments()[0]!);
    const whole = readFileSync(file);
    const end = frameEnds(whole).at(-2)!;
    for (let at = 0; at < end; at += 1) {
      const bad = Buffer.from(whole);
      bad[at] = bad[at]! ^ 0x01;
      writeFileSync(file, bad);
      await expect(FileLog.open(dir)).rejects.toMatchObject({ code: 'state-corrupt' });
    }
  }, 60_000);

  it.each(['control', 'snapshot-000000000001'])('refuses a damaged or unknown %s', async (name) => {
    await sample();
    const file = join(dir, name);
    const whole = readFileSync(file);
    for (let at = 0; at < whole.length; at += 1) {
      const bad = Buffer.from(whole);
      bad[at] = bad[at]! ^ 0x01;
      writeFileSync(file, bad);
      await expect(FileLog.open(dir)).rejects.toMatchObject({ code: 'state-corrupt' });
    }
    writeFileSync(file, encodeFrame({ ...(scanFrames(whole).payloads[0] as object), v: 2 }));
    await expect(FileLog.open(dir)).rejects.toThrow(/version 2/);
    rmSync(file);
    await expect(FileLog.open(dir)).rejects.toMatchObject({ code: 'state-corrupt' });
  }, 60_000);

  it('ignores what was being written aside', async () => {
    await sample();
    writeFileSync(join(dir, 'control.tmp'), 'half');
    expect((await reopened()).start.hardState).toEqual(hard(2, 5));
    expect(existsSync(join(dir, 'control.tmp'))).toBe(false);
  });

  it('begins new segments, and drops those that a snapshot covers', async () => {
    const log = await FileLog.open(dir, { segmentBytes: 300 });
    await log.bootstrap(snap(1, 0));
    for (let index = 2; index <= 30; index += 1) await save(log, hard(1, index - 1), [entry(index, 1)]);
    const before = segments().length;
    await log.compact(snap(20, 1));
    await log.close();
    expect(before).toBeGreaterThan(5);
    expect(segments().length).toBeLessThan(before);
    const again = await FileLog.open(dir, { segmentBytes: 300 });
    expect(again.start.snapshot).toEqual(snap(20, 1));
    expect(again.start.entries.map(({ index }) => index)).toEqual([21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
    await save(again, null, [entry(31, 1)]);
    await again.close();
    expect((await reopened()).start.entries).toHaveLength(11);
    expect(readdirSync(dir).filter((name) => name.startsWith('snapshot-'))).toHaveLength(1);
    rmSync(join(dir, segments()[1]!));
    await expect(FileLog.open(dir)).rejects.toThrow(/missing/);
  });

  it('takes a snapshot from the leader instead of its own log', async () => {
    await sample();
    const log = await FileLog.open(dir);
    await save(log, hard(4, 50, null), [entry(51, 4)], snap(50, 4));
    await log.close();
    expect((await reopened()).start).toEqual({ hardState: hard(4, 50, null), snapshot: snap(50, 4), entries: [entry(51, 4)] });
    expect(segments()).toHaveLength(1);
  });

  it('finishes taking a snapshot when the crash came before the log was reset', async () => {
    await sample();
    writeFileSync(join(dir, 'snapshot-000000000004'), encodeFrame({ v: 1, snapshot: snap(4, 9) }));
    const log = await FileLog.open(dir);
    expect(log.start).toMatchObject({ snapshot: snap(4, 9), entries: [], hardState: { commit: 4 } });
    await save(log, null, [entry(5, 9)]);
    await log.close();
    expect((await reopened()).start.entries).toEqual([entry(5, 9)]);
  });

  it('begins a segment anew whose header never arrived', async () => {
    await sample();
    writeFileSync(join(dir, 'log-000000000002'), 'PG');
    const log = await FileLog.open(dir);
    await save(log, null, [entry(7, 2)]);
    await log.close();
    expect((await reopened()).start.entries).toHaveLength(6);
  });

  it('refuses everything after a write has failed', async () => {
    await sample();
    const log = await FileLog.open(dir, { segmentBytes: 1 });
    rmSync(dir, { recursive: true });
    await expect(save(log, null, [entry(7, 2)])).rejects.toMatchObject({ code: 'agent-failed' });
    await expect(log.compact(snap(6, 2))).rejects.toMatchObject({ code: 'agent-failed' });
    await log.close();
  });
});

function frameEnds(content: Buffer): number[] {
  const ends: number[] = [];
  for (let at = 0; at < content.length; at += 12 + content.readUInt32LE(at + 4)) if (at > 0) ends.push(at);
  return [...ends, content.length];
}
