import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { childrenOf, folderKey, identify, isAlive, parentOf, runsProgram, sendSignal, withDescendants } from './proc.ts';

test('a process is itself until it ends, whatever its name holds', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pgorbit-test-'));
  const odd = join(folder, 'x) R 1 (');
  symlinkSync('/bin/sleep', odd);
  const child = spawn(odd, ['600']);
  try {
    await once(child, 'spawn');
    const id = identify(child.pid!)!;
    expect(id.startTime).toMatch(/^\d+$/);
    expect(parentOf(id.pid)).toBe(process.pid);
    expect(childrenOf(process.pid)).toContain(id.pid);
    expect(withDescendants([process.pid])).toEqual(expect.arrayContaining([process.pid, id.pid]));
    expect(isAlive(id)).toBe(true);
    expect(isAlive({ ...id, startTime: String(Number(id.startTime) + 1) })).toBe(false);
    expect(isAlive({ ...id, bootId: 'another' })).toBe(false);
    expect(runsProgram(process.pid, 'postgres')).toBe(false);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isAlive(id)).toBe(false);
    expect(identify(id.pid)).toBeNull();
    expect(sendSignal(id.pid, 'SIGKILL')).toBe(false);
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  }
});

test('a zombie does not live', async () => {
  // The shell's child ends and is never asked for by the `sleep` that the shell becomes.
  const parent = spawn('/bin/sh', ['-c', 'sleep 0 & echo $!; exec sleep 600'], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [chunk] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(chunk.toString());
    while (identify(pid) !== null) await new Promise((resolve) => { setTimeout(resolve, 5); });
    expect(sendSignal(pid, 'SIGCONT')).toBe(true);
    expect(childrenOf(parent.pid!)).not.toContain(pid);
  } finally {
    parent.kill('SIGKILL');
  }
});

test('a folder is known by what it is, not by its path', () => {
  expect(folderKey('/tmp')).toBe(folderKey('/tmp/../tmp/'));
  expect(folderKey('/tmp')).not.toBe(folderKey('/'));
  expect(folderKey('/nonexistent')).toBeNull();
});
