import { describe, expect, it } from 'vitest';
import type { Chain } from '../chain.ts';
import type { BackupInfo } from '../info.ts';
import { chooseBackup, parseTarget, refuseTarget, targetSettings } from './target.ts';

const info = (label: string, stopLsn: string, stoppedAt: string): BackupInfo => ({ label, stopLsn, stoppedAt }) as BackupInfo;
const infos = [info('a', '0/2000100', '2026-11-21T10:00:00.500Z'), info('b', '0/4000100', '2026-11-21T12:00:00.000Z')];
const chain = (missing: string[] = []): Chain => ({ history: { timeline: 1, parents: [] }, segments: [], missing, end: 0x6000000n });
const codeOf = (work: () => unknown): unknown => {
  try {
    work();
    return null;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
};

describe('parseTarget', () => {
  it.each([
    ['2026-11-21 11:30:00Z', '2026-11-21 11:30:00.000000+00'],
    ['2026-11-21T11:30:00.123456Z', '2026-11-21 11:30:00.123456+00'],
    ['2026-11-21 11:30:00.25+01', '2026-11-21 10:30:00.250000+00'],
    ['2026-11-21 01:30+0530', '2026-11-20 20:00:00.000000+00'],
    ['2026-11-21 11:30:00 UTC', '2026-11-21 11:30:00.000000+00'],
  ])('reads the time %s', (text, utc) => {
    expect(parseTarget(text)).toMatchObject({ kind: 'time', text: utc });
  });

  it('takes a time without a zone for one of this machine', () => {
    expect(parseTarget('2026-11-21 11:30:00')).toMatchObject({ kind: 'time', ms: new Date(2026, 10, 21, 11, 30).getTime() });
  });

  it('tells positions, names and the end apart', () => {
    expect(parseTarget('0/16b3748')).toEqual({ kind: 'lsn', lsn: '0/16B3748' });
    expect(parseTarget('before the mistake')).toEqual({ kind: 'name', name: 'before the mistake' });
    expect(parseTarget('latest')).toEqual({ kind: 'latest' });
  });

  it.each(['', '2026-13-45 11:30:00', '2026-11-21', 'x'.repeat(64)])('refuses %j', (text) => {
    expect(codeOf(() => parseTarget(text))).toBe('usage');
  });
});

describe('chooseBackup', () => {
  it('takes the newest that ended before the target', () => {
    expect(chooseBackup(infos, parseTarget('2026-11-21 11:59:59Z')).label).toBe('a');
    expect(chooseBackup(infos, parseTarget('2026-11-21 12:00:00Z')).label).toBe('b');
    expect(chooseBackup(infos, parseTarget('0/40000FF')).label).toBe('a');
    expect(chooseBackup(infos, parseTarget('0/4000100')).label).toBe('b');
    expect(chooseBackup(infos, parseTarget('latest')).label).toBe('b');
  });

  it('refuses a target before all of them', () => {
    expect(codeOf(() => chooseBackup(infos, parseTarget('2026-11-21 10:00:00.499999Z')))).toBe('target-unreachable');
    expect(codeOf(() => chooseBackup([], parseTarget('latest')))).toBe('no-such-backup');
  });
});

describe('refuseTarget', () => {
  it.each([
    ['latest', [], null],
    ['latest', ['x'], 'backup-damaged'],
    ['0/6000000', ['x'], null],
    ['0/6000001', [], 'target-unreachable'],
    ['0/2000000', [], 'target-unreachable'],
    ['a name', ['x'], null],
  ])('%s with %j missing: %s', (target, missing, code) => {
    expect(codeOf(() => refuseTarget(infos[0]!, chain(missing), parseTarget(target)))).toBe(code);
  });
});

describe('targetSettings', () => {
  it('stops before a position, and after a time', () => {
    expect(targetSettings(parseTarget('0/10'))).toEqual({ recovery_target_lsn: '0/10', recovery_target_inclusive: 'off' });
    expect(targetSettings(parseTarget('2026-11-21 11:30:00Z'))).toEqual({ recovery_target_time: '2026-11-21 11:30:00.000000+00' });
    expect(targetSettings(parseTarget('latest'))).toEqual({});
  });
});
