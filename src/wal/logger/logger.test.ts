import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LOGGER_DEFAULTS, Logger } from './logger.ts';
import { DurableState } from './state.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-logger-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const start = (): Promise<Logger> => Logger.start({ ...LOGGER_DEFAULTS, dir, host: '127.0.0.1', port: 0, log: () => undefined });

describe('a logger\'s promise', () => {
  it('is kept over a restart, and never taken back', async () => {
    const one = await start();
    expect(one.promise(7)).toMatchObject({ term: 7, flushed: null });
    await one.stop();
    const again = await start();
    expect(() => again.promise(6)).toThrow(/promised to term 7/);
    expect(again.promise(7).term).toBe(7);
    await expect(again.follow({ host: '127.0.0.1', port: 1, user: 'u', applicationName: 'l1@6', term: 6 })).rejects.toThrow(/cannot follow a primary of term 6/);
    await again.stop();
  });

  it('tells no position while WAL is missing that one before it may have acknowledged, but is made', async () => {
    DurableState.open(join(dir, 'state')).save({ floor: '0/9000000' });
    const one = await start();
    expect(() => one.promise(4)).toThrow(/began anew and does not yet have/);
    expect(one.status().term).toBe(4);
    await one.stop();
  });
});
