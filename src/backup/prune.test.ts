import { describe, expect, it } from 'vitest';
import type { BackupInfo } from './info.ts';
import { choosePruned, chooseUnneeded } from './prune.ts';

const info = (label: string, startLsn: string): BackupInfo => ({ label, startLsn, segmentSize: 1 << 20 }) as BackupInfo;
const infos = [info('a', '0/200028'), info('b', '0/400028'), info('c', '0/600028')];

describe('choosePruned', () => {
  it('keeps the newest', () => {
    expect(choosePruned(infos, 2).map(({ label }) => label)).toEqual(['a']);
    expect(choosePruned(infos, 1).map(({ label }) => label)).toEqual(['a', 'b']);
  });

  it('drops nothing while there are no more than are kept', () => {
    expect(choosePruned(infos, 3)).toEqual([]);
    expect(choosePruned([], 1)).toEqual([]);
  });
});

describe('chooseUnneeded', () => {
  const names = ['000000010000000000000003', '000000010000000000000004', '000000020000000000000003.partial', '00000002.history', '000000020000000000000005', 'other'];

  it('drops segments that end before the oldest kept backup begins, of every timeline, and no history', () => {
    expect(chooseUnneeded(names, infos.slice(1))).toEqual(['000000010000000000000003', '000000020000000000000003.partial']);
  });

  it('keeps all WAL where no backup is kept', () => {
    expect(chooseUnneeded(names, [])).toEqual([]);
  });
});
