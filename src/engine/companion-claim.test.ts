import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identify } from './proc.ts';
import { claimant, claimFolder } from './companion-claim.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-claim-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('a companion\'s folder', () => {
  it('is taken by one process, found by others, and given up', () => {
    expect(claimant(dir)).toBeNull();
    const leave = claimFolder(dir, 'logger');
    expect(claimant(dir)?.pid).toBe(process.pid);
    expect(() => claimFolder(dir, 'logger')).toThrow(/already is the logger/);
    leave();
    expect(claimant(dir)).toBeNull();
    expect(readdirSync(dir)).toEqual([]);
  });

  it('is free after a crash: a dead owner, a reused process id, half a file', async () => {
    const child = spawn('sleep', ['60']);
    const id = identify(child.pid!)!;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    for (const text of [JSON.stringify(id), JSON.stringify({ ...identify(process.pid), startTime: '1' }), '{"pid":']) {
      writeFileSync(join(dir, 'pid'), text);
      expect(claimant(dir)).toBeNull();
      claimFolder(dir, 'logger')();
    }
  });
});
