import { describe, expect, it } from 'vitest';
import { crc32c } from '../../wal/crc32c.ts';
import { parseControlFile } from '../control.ts';
import { backupLabel, rewoundControl } from './finish.ts';
import { keepsWalFile } from './wal-cut.ts';

const NOW = new Date('2026-02-03T04:05:06.700Z');

describe('the backup label', () => {
  it('begins replay at the checkpoint\'s redo point, as pg_rewind writes it', () => {
    expect(backupLabel({ checkpoint: 0x1_0300_0100n, redo: 0x1_0300_0028n, timeline: 3 }, 1 << 24, NOW)).toBe(
      'START WAL LOCATION: 1/3000028 (file 000000030000000100000003)\nCHECKPOINT LOCATION: 1/3000100\n' +
      'BACKUP METHOD: pg_rewind\nBACKUP FROM: standby\nSTART TIME: 2026-02-03 04:05:06 UTC\n',
    );
  });
});

describe('the control file', () => {
  it.each([[1300, 288], [1800, 292]])('of format %i is the source\'s, in recovery until the given end', (version, crcAt) => {
    const source = Buffer.alloc(8192);
    source.writeUInt32LE(version, 8);
    source.writeUInt32LE(6, 16);
    source.writeBigUInt64LE(0x3000100n, 32);
    source.writeUInt32LE(crc32c(source.subarray(0, crcAt)), crcAt);
    const before = parseControlFile(source, 'source');
    const after = parseControlFile(rewoundControl(source, { timeline: 2, lsn: 0x5000028n }, NOW), 'target');
    expect(before.state).toBe('in production');
    expect(after).toEqual({ ...before, state: 'in archive recovery', time: Date.UTC(2026, 1, 3, 4, 5, 6), minRecoveryPoint: '0/5000028', minRecoveryTimeline: 2 });
  });
});

describe('a file of pg_wal', () => {
  // 1 was left at 0/2800000, 2 at 0/5800000; the member goes back to 0/4800000, on timeline 2.
  const history = { timeline: 3, parents: [{ timeline: 1, switchpoint: 0x2800000n, reason: '' }, { timeline: 2, switchpoint: 0x5800000n, reason: '' }] };
  const keeps = (name: string): boolean => keepsWalFile(name, history, { timeline: 2, lsn: 0x4800000n }, 1 << 24);

  it('stays where it holds common history', () => {
    for (const name of ['000000010000000000000001', '000000010000000000000002', '000000020000000000000002', '000000020000000000000004']) expect(keeps(name)).toBe(true);
  });

  it('goes where it diverged, was recycled, or is of a timeline that the source does not have', () => {
    for (const name of ['000000010000000000000003', '000000020000000000000005', '000000030000000000000005', '000000040000000000000002', '00000002.history', 'xlogtemp.1', '000000020000000000000004.partial']) {
      expect(keeps(name)).toBe(false);
    }
    expect(keepsWalFile('000000020000000000000004', history, { timeline: 2, lsn: 0x4000000n }, 1 << 24)).toBe(false);
  });
});
