/** RaftStore on the real disk, through restarts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileLog } from './log/file-log.ts';
import { RaftStore } from './raft-store.ts';

let dir: string;
let store: RaftStore;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-raft-store-'));
});
afterEach(async () => {
  await store.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function open(): Promise<RaftStore> {
  const storage = await FileLog.open(dir, { segmentBytes: 2000 });
  const next = new RaftStore({
    self: 'solo', storage, timing: { tickMs: 5, heartbeatMs: 10, electionMs: 50 }, compactAfter: { entries: 10, characters: 1e9 },
    transport: { send: () => {}, onMessage: () => {} },
    onFatal: (error) => {
      throw error;
    },
    onError: (error) => {
      throw error;
    },
  });
  if (storage.blank) await next.bootstrap(['solo']);
  next.start();
  return next;
}

describe('RaftStore on files', () => {
  it('has everything again after each restart', async () => {
    store = await open();
    for (let run = 0; run < 4; run += 1) {
      for (let at = 0; at < 15; at += 1) {
        expect(await store.compareAndSet(`k${run}.${at}`, 0, { run, at })).toMatchObject({ ok: true, revision: run * 15 + at + 1 });
      }
      await store.stop();
      store = await open();
      expect(await store.list('k')).toHaveLength((run + 1) * 15);
    }
    await expect(store.bootstrap(['solo'])).rejects.toMatchObject({ code: 'unsafe' });
  });
});
