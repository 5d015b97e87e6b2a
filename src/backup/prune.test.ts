import { describe, expect, it } from 'vitest';
import type { BackupInfo } from './info.ts';
import { choosePruned, chooseUnneeded, dependentsOf } from './prune.ts';

const info = (label: string, startLsn: string): BackupInfo => ({ label, startLsn, segmentSize: 1 << 20 }) as BackupInfo;
const infos = [info('a', '0/200028'), info('b', '0/400028'), info('c', '0/600028')];

const on = (label: string, parent: string): BackupInfo => ({ ...info(label, '0/800028'), parent: { label: parent, manifestSha256: '' } });
/** Two full backups, a and d; b and c build on a, e on d. */
const lineages = [infos[0]!, on('b', 'a'), on('c', 'b'), info('d', '0/900028'), on('e', 'd')];
const pruned = (all: readonly BackupInfo[], keep: number): { gone: string[]; needed: object[] } => {
  const { gone, needed } = choosePruned(all, keep);
  return { gone: gone.map(({ label }) => label), needed };
};

describe('choosePruned', () => {
  it('keeps the newest', () => {
    expect(pruned(infos, 2)).toEqual({ gone: ['a'], needed: [] });
    expect(pruned(infos, 1)).toEqual({ gone: ['a', 'b'], needed: [] });
  });

  it('drops nothing while there are no more than are kept', () => {
    expect(pruned(infos, 3)).toEqual({ gone: [], needed: [] });
    expect(pruned([], 1)).toEqual({ gone: [], needed: [] });
  });

  it('keeps what a kept one builds on, and says for whom', () => {
    expect(pruned(lineages, 1)).toEqual({ gone: ['a', 'b', 'c'], needed: [{ backup: 'd', by: ['e'] }] });
    expect(pruned(lineages, 2)).toEqual({ gone: ['a', 'b', 'c'], needed: [] });
    expect(pruned(lineages, 3)).toEqual({ gone: [], needed: [{ backup: 'a', by: ['c'] }, { backup: 'b', by: ['c'] }] });
    expect(pruned([on('a', 'b'), on('b', 'a')], 1)).toEqual({ gone: [], needed: [{ backup: 'a', by: ['b'] }] });
  });
});

describe('dependentsOf', () => {
  it('names all that build on a backup', () => {
    expect(['a', 'b', 'c', 'd', 'e'].map((label) => dependentsOf(lineages, label))).toEqual([['b', 'c'], ['c'], [], ['e'], []]);
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
