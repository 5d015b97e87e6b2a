import { describe, expect, it } from 'vitest';
import { blockFile, isExcluded, isRelationFile } from './paths.ts';
import { type RewindPlan, planRewind } from './plan.ts';

const B = 8192;
const plan = (target: Record<string, number | null>, source: Record<string, number | null>, changed: Record<string, number[]> = {}, truncated: Record<string, number> = {}): RewindPlan =>
  planRewind(new Map(Object.entries(target)), new Map(Object.entries(source)), {
    files: new Map(Object.entries(changed).map(([path, blocks]) => [path, new Set(blocks)])), truncated: new Map(Object.entries(truncated)),
  });

describe('files of relations', () => {
  it('get the changed blocks, neighbours in one piece, and nothing else where the sizes are equal', () => {
    const found = plan({ 'base/5/16384': 10 * B }, { 'base/5/16384': 10 * B }, { 'base/5/16384': [7, 2, 3, 9, 8] });
    expect(found.ranges).toEqual([{ path: 'base/5/16384', offset: 2 * B, length: 2 * B }, { path: 'base/5/16384', offset: 7 * B, length: 3 * B }]);
    expect([found.bytes, found.files, found.copies, found.truncations]).toEqual([5 * B, 1, [], []]);
  });

  it('get the tail that they lack: changed blocks within it, or beyond both, are not asked for twice', () => {
    const found = plan({ 'base/5/1': 4 * B }, { 'base/5/1': 6 * B }, { 'base/5/1': [1, 3, 4, 5, 8] });
    expect(found.ranges).toEqual([
      { path: 'base/5/1', offset: B, length: B }, { path: 'base/5/1', offset: 3 * B, length: B }, { path: 'base/5/1', offset: 4 * B, length: 2 * B },
    ]);
  });

  it('begin the tail at a whole block where a crash left half of one', () => {
    const found = plan({ 'base/5/1': 4 * B + 100 }, { 'base/5/1': 6 * B }, { 'base/5/1': [4] });
    expect(found.ranges).toEqual([{ path: 'base/5/1', offset: 4 * B, length: 2 * B }]);
    expect(plan({ 'base/5/1': 4 * B + 100 }, { 'base/5/1': 4 * B }).truncations).toEqual([{ path: 'base/5/1', size: 4 * B }]);
  });

  it('are cut where they are longer, and keep the changed blocks of what stays up to date', () => {
    const found = plan({ 'base/5/1': 6 * B }, { 'base/5/1': 2 * B }, { 'base/5/1': [1, 2, 5] });
    expect(found.truncations).toEqual([{ path: 'base/5/1', size: 2 * B }]);
    expect(found.ranges).toEqual([{ path: 'base/5/1', offset: B, length: B }]);
    expect(found.files).toBe(1);
  });

  it('get all from where they were once cut, though they may be as long again', () => {
    const found = plan({ 'base/5/1': 9 * B }, { 'base/5/1': 8 * B }, { 'base/5/1': [1, 4, 6] }, { 'base/5/1': 4 });
    expect(found.ranges).toEqual([{ path: 'base/5/1', offset: B, length: B }, { path: 'base/5/1', offset: 4 * B, length: 4 * B }]);
    expect(found.truncations).toEqual([{ path: 'base/5/1', size: 8 * B }]);
    const size = 131_072 * B;
    const large = plan({ 'base/5/1': size, 'base/5/1.1': 9 * B, 'base/5/1.2': B }, { 'base/5/1': size, 'base/5/1.1': 9 * B, 'base/5/1.2': B }, {}, { 'base/5/1': 131_077 });
    expect(large.ranges).toEqual([{ path: 'base/5/1.1', offset: 5 * B, length: 4 * B }, { path: 'base/5/1.2', offset: 0, length: B }]);
  });

  it('need nothing where neither side has them any more', () => {
    expect(plan({}, {}, { 'base/5/1': [0] })).toMatchObject({ bytes: 0, files: 0, ranges: [] });
  });
});

describe('everything else', () => {
  it('is copied whole where the source has it', () => {
    const found = plan({ 'base/5/1_vm': B, 'pg_xact/0000': B }, { 'base/5/1_vm': B, 'base/5/2': 3 * B, 'pg_xact/0000': B });
    expect(found.copies).toEqual([{ path: 'base/5/1_vm', size: B }, { path: 'base/5/2', size: 3 * B }, { path: 'pg_xact/0000', size: B }]);
  });

  it('goes where it has not, children before their folder; folders are made before their children', () => {
    const found = plan({ 'base/7': null, 'base/7/1': B, 'base/7/PG_VERSION': 3 }, { 'base/8': null, 'base/8/PG_VERSION': 3 });
    expect(found.removals).toEqual([{ path: 'base/7/PG_VERSION', folder: false }, { path: 'base/7/1', folder: false }, { path: 'base/7', folder: true }]);
    expect(found.folders).toEqual(['base/8']);
    expect(found.copies).toEqual([{ path: 'base/8/PG_VERSION', size: 3 }]);
  });

  it('stays where it is the member\'s own', () => {
    const own = { 'pgorbit.conf': 1, 'pg_hba.conf': 2, 'standby.signal': 0, 'global/pg_control': B, 'pg_wal': null, 'pg_wal/000000010000000000000001': 9 };
    expect(plan(own, {})).toMatchObject({ removals: [], copies: [] });
    expect(plan({}, own)).toMatchObject({ folders: [], copies: [] });
    expect(plan({ 'postgresql.conf': 1, 'PG_VERSION': 3 }, { 'postgresql.conf': 1, 'PG_VERSION': 3 }).copies).toEqual([{ path: 'postgresql.conf', size: 1 }]);
  });

  it('is removed and never copied where a start makes it anew', () => {
    const made = {
      'postmaster.pid': 1, 'backup_manifest': 1, 'base/5/pg_internal.init': 1, 'base/5/pg_internal.init.77': 1, 'base/pgsql_tmp/x': 1,
      'pg_replslot/a': null, 'pg_replslot/a/state': 1, 'pg_subtrans/0000': B, 'base/5/t3_16400': B, 'base/5/t3_16400_fsm': B,
    };
    expect(plan(made, made).removals.map((one) => one.path).sort()).toEqual(Object.keys(made).sort());
    expect(plan({}, made)).toMatchObject({ folders: [], copies: [] });
    expect(plan({ pg_replslot: null }, { pg_replslot: null }).removals).toEqual([]);
  });

  it('is refused where one side has a folder of that name', () => {
    expect(() => plan({ x: null }, { x: 4 })).toThrow(/x is a folder on one side/);
  });
});

describe('paths', () => {
  it('of blocks follow tablespace, database and segment', () => {
    expect(blockFile({ tablespace: 1663, database: 5, relation: 16384, block: 131_071 })).toEqual({ path: 'base/5/16384', block: 131_071 });
    expect(blockFile({ tablespace: 1663, database: 5, relation: 16384, block: 262_145 })).toEqual({ path: 'base/5/16384.2', block: 1 });
    expect(blockFile({ tablespace: 1664, database: 0, relation: 1262, block: 0 })).toEqual({ path: 'global/1262', block: 0 });
    expect(blockFile({ tablespace: 16500, database: 5, relation: 1, block: 0 })).toBeNull();
  });

  it('of main forks are told from all others', () => {
    for (const path of ['base/5/16384', 'base/5/16384.12', 'global/1262']) expect(isRelationFile(path)).toBe(true);
    for (const path of ['base/5/16384_vm', 'base/5/16384_fsm.1', 'base/5/t1_16384', 'base/5/16384.0', 'base/5/016', 'pg_xact/0000', 'global/pg_control', 'base/5']) {
      expect(isRelationFile(path)).toBe(false);
    }
    expect(isExcluded('pg_hba.conf')).toBe(false);
  });
});
