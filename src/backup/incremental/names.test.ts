import { describe, expect, it } from 'vitest';
import { incrementalOf, standsFor } from './header.ts';
import { parseLabel, wholeLabel } from './label.ts';

describe('names', () => {
  it.each([
    ['base/5/INCREMENTAL.1259', 'base/5/1259'],
    ['base/5/INCREMENTAL.16384_vm.1', 'base/5/16384_vm.1'],
    ['global/INCREMENTAL.1260', 'global/1260'],
    ['base/5/1259', null],
    ['INCREMENTAL.conf', null],
    ['pg_wal/INCREMENTAL.1', null],
    ['base/INCREMENTAL.5/1259', null],
  ])('%s stands for %s', (path, whole) => {
    expect(standsFor(path)).toBe(whole);
    if (whole !== null) expect(incrementalOf(whole)).toBe(path);
  });
});

describe('backup_label', () => {
  const begin = 'START WAL LOCATION: 0/5000028 (file 000000020000000000000005)\nCHECKPOINT LOCATION: 0/5000080\nBACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-11-21 11:30:00 UTC\nLABEL: pgorbit\nSTART TIMELINE: 2\n';
  const from = 'INCREMENTAL FROM LSN: 0/3000028\nINCREMENTAL FROM TLI: 1\n';

  it('says where the backup begins and on what it builds', () => {
    expect(parseLabel(begin, 'x')).toEqual({ start: { timeline: 2, lsn: 0x5000028n }, from: null });
    expect(parseLabel(begin + from, 'x')).toEqual({ start: { timeline: 2, lsn: 0x5000028n }, from: { timeline: 1, lsn: 0x3000028n } });
  });

  it('is that of a whole without the last two lines', () => {
    expect(wholeLabel(begin + from)).toBe(begin);
    expect(wholeLabel(begin)).toBe(begin);
  });

  it.each([['nothing', ''], ['no timeline', begin.replace('START TIMELINE: 2\n', '')], ['half of what it builds on', `${begin}INCREMENTAL FROM TLI: 1\n`]])('is refused with %s', (_, text) => {
    expect(() => parseLabel(text, '/repo/backup_label')).toThrow(expect.objectContaining({ code: 'backup-damaged', message: expect.stringContaining('/repo/backup_label') }));
  });
});
