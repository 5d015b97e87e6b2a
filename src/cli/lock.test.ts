import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PgorbitError } from '../errors.ts';
import { lockHolder, takeLock } from './lock.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pgorbit-lock-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('takeLock', () => {
  it('keeps the second one out, and says who holds it', async () => {
    const lock = await takeLock(dir, 'up');
    expect(await lockHolder(dir)).toEqual({ pid: process.pid, command: 'up' });
    const second = await takeLock(dir, 'scale').catch((error: unknown) => error);
    expect(second).toBeInstanceOf(PgorbitError);
    expect((second as PgorbitError).code).toBe('locked');
    expect((second as PgorbitError).message).toContain(`process ${process.pid}`);
    await lock.release();
    expect(await lockHolder(dir)).toBeNull();
    expect(readdirSync(dir)).toEqual([]);
  });

  it('lets one of many win', async () => {
    const all = await Promise.allSettled(Array.from({ length: 20 }, () => takeLock(dir, 'up')));
    expect(all.filter((one) => one.status === 'fulfilled')).toHaveLength(1);
    expect(readdirSync(dir)).toEqual(['up.lock']);
  });

  it('takes over from a process that is gone', async () => {
    const dead = spawnSync('true').pid;
    const own = await takeLock(dir, 'up');
    const content = JSON.parse(readFileSync(join(dir, 'up.lock'), 'utf8')) as object;
    await own.release();
    writeFileSync(join(dir, 'up.lock'), JSON.stringify({ ...content, pid: dead }));
    expect(await lockHolder(dir)).toBeNull();
    const lock = await takeLock(dir, 'up');
    expect((await lockHolder(dir))?.pid).toBe(process.pid);
    await lock.release();
    expect(readdirSync(dir)).toEqual([]);
  });

  it('takes over from a process whose number another one bears now, from an earlier boot, and from rubbish', async () => {
    const own = await takeLock(dir, 'up');
    const content = JSON.parse(readFileSync(join(dir, 'up.lock'), 'utf8')) as object;
    await own.release();
    for (const stale of [JSON.stringify({ ...content, startTime: '1' }), JSON.stringify({ ...content, bootId: 'x' }), '{', '']) {
      writeFileSync(join(dir, 'up.lock'), stale);
      const lock = await takeLock(dir, 'up');
      await lock.release();
    }
    expect(readdirSync(dir)).toEqual([]);
  });
});
