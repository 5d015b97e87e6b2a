import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { closeRestore, openRestore, restoreCommand, writeRestoreScript } from './restore.ts';

describe('the restore script', () => {
  let dir = '';
  let home = '';
  let wal = '';
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'pgorbit-restore-'));
    // A shell's nightmare, and PostgreSQL's: % introduces a placeholder.
    home = join(dir, "it's 100% home");
    wal = join(dir, 'pg wal');
    await mkdir(wal);
    await writeFile(join(wal, '000000010000000000000001'), 'records');
    await writeRestoreScript(home);
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  /** Runs the command as PostgreSQL does. @returns its exit status. */
  function restore(name: string): number | null {
    const command = restoreCommand(home).replaceAll(/%[fp%]/g, (match) => ({ '%f': name, '%p': join(dir, 'restored') })[match] ?? '%');
    return spawnSync('/bin/sh', ['-c', command]).status;
  }

  it('finds nothing until it is opened, and nothing after it is closed', async () => {
    expect(restore('000000010000000000000001')).toBe(1);
    await openRestore(home, wal);
    expect(restore('000000010000000000000001')).toBe(0);
    expect(await readFile(join(dir, 'restored'), 'utf8')).toBe('records');
    await closeRestore(home);
    await closeRestore(home);
    expect(restore('000000010000000000000001')).toBe(1);
  });

  it('says 1, "not there", for a file that does not exist: anything above 125 would end recovery', async () => {
    await openRestore(home, wal);
    expect(restore('00000002.history')).toBe(1);
  });

  it('may be run by PostgreSQL\'s user', () => {
    expect(execFileSync('stat', ['-c', '%a', join(home, 'restore.sh')]).toString().trim()).toBe('755');
  });
});
