import { describe, expect, it } from 'vitest';
import type { GroupStatus, MemberStatus } from '../../agent/api.ts';
import type { BackupInfo } from '../../backup/info.ts';
import { loadManifest } from '../../manifest/load.ts';
import { plainBackup, renderBackups } from './print.ts';
import { describeCopy } from './progress.ts';
import { restoredManifest } from './restored.ts';
import { chooseSource, chooseWalSource } from './source.ts';

const member = (name: string, role: string, more: Partial<MemberStatus> = {}): MemberStatus => ({ name, role, pid: 1, state: 'streaming', lagBytes: 0, ...more }) as MemberStatus;
const group = (members: MemberStatus[], primary: string | null = 'n1'): GroupStatus => ({ name: 'main', primary, members }) as GroupStatus;
const codeOf = (work: () => unknown): unknown => {
  try {
    return (work() as MemberStatus).name;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
};

describe('chooseSource', () => {
  const all = group([member('n1', 'primary'), member('n2', 'replica', { lagBytes: 9 }), member('n3', 'replica', { lagBytes: 3 }), member('l1', 'logger'), member('s1', 'standby', { pid: null })]);

  it.each([
    ['primary', 'n1'],
    ['replica', 'n3'],
    ['n2', 'n2'],
    ['l1', 'no-such-member'],
    ['n9', 'no-such-member'],
    ['s1', 'unsafe'],
  ])('%s is %s', (wanted, chosen) => {
    expect(codeOf(() => chooseSource(all, wanted))).toBe(chosen);
  });

  it('knows when there is nobody', () => {
    expect(codeOf(() => chooseSource(group([member('n1', 'primary', { pid: null })]), 'replica'))).toBe('no-such-member');
    expect(codeOf(() => chooseSource(group([], null), 'primary'))).toBe('unsafe');
  });
});

describe('chooseWalSource', () => {
  it('is the primary, or a logger that runs', () => {
    const both = group([member('n1', 'primary'), member('l1', 'logger', { pid: null }), member('l2', 'logger')]);
    expect([chooseWalSource(both, 'primary')?.name, chooseWalSource(both, 'logger')?.name, chooseWalSource(group([], null), 'primary')]).toEqual(['n1', 'l2', null]);
  });
});

describe('describeCopy', () => {
  it('says how far, how fast, and how long it takes', () => {
    expect(describeCopy({ step: 'copy', done: 50 << 20, total: 200 << 20 }, 1000)).toBe('25 % of 200 MB, 50.0 MB/s, 3.0 s left');
    expect(describeCopy({ step: 'copy', done: 0, total: 0 }, 0)).toBe('0 % of 0 B, 0 B/s');
    expect(describeCopy({ step: 'checkpoint', done: 0, total: 0 }, 0)).toBe('waiting for a checkpoint');
  });
});

describe('restoredManifest', () => {
  it('is a manifest, with the settings that the group had, whatever is in them', () => {
    const settings = { 'work_mem': '8MB', 'search_path': '"$user", \'it\'\'s # here\'' };
    const info = { label: 'x', group: 'main', cluster: 'shop', major: 18, settings } as unknown as BackupInfo;
    const text = restoredManifest({ cluster: 'rescue', info, target: 'the restore point "a\nb: {"', port: 5444 });
    const loaded = loadManifest(text, { file: 'x', baseDir: '/' });
    expect(loaded).toMatchObject({ ok: true, spec: { cluster: 'rescue', engine: { version: 18 }, groups: { main: { storage: 'local', settings, members: { n1: { role: 'primary', port: 5444, path: null } } } } } });
    expect(loadManifest(restoredManifest({ cluster: 'rescue', info: { ...info, settings: {} }, target: 'x', port: null }), { file: 'x', baseDir: '/' })).toMatchObject({ ok: true });
  });
});

describe('renderBackups', () => {
  const info = (label: string, bytes: number, parent?: string): BackupInfo =>
    ({ label, bytes, cluster: 'shop', group: 'main', source: 'n1', version: '18.4', stoppedAt: '', stopLsn: '0/3', ...(parent === undefined ? {} : { parent: { label: parent, manifestSha256: '' } }) }) as BackupInfo;
  const [full, next] = [info('a', 40 << 20), info('b', 2 << 20, 'a')];
  it('says on what a backup builds, its size, and that of all together', () => {
    const table = renderBackups([{ info: full, chain: null, lineage: [full] }, { info: next, chain: null, lineage: [full, next] }, { info: next, chain: null, lineage: null }]).split('\n');
    expect(table[1]).toMatch(/40(\.0)? MB +0\/3/);
    expect(table[2]).toMatch(/2(\.0)? MB +a +42(\.0)? MB in 2 +0\/3/);
    expect(table[3]).toMatch(/2(\.0)? MB +a +broken +0\/3/);
    expect(plainBackup({ info: next, chain: null, lineage: [full, next] })).toMatchObject({ lineage: ['a', 'b'], bytesInAll: 42 << 20 });
    expect(plainBackup({ info: next, chain: null, lineage: null })).toMatchObject({ lineage: null, bytesInAll: null });
  });
});
