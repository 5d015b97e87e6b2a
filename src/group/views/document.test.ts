import { describe, expect, test } from 'vitest';
import { asciiJson } from './ascii-json.ts';
import { statusFile, type ViewDocument, type ViewGroup, type ViewMember } from './document.ts';
import { installSql, MARK, VIEWS } from './objects.ts';
import type { OrbitEvent } from '../../observe/event.ts';

const member = (name: string, patch: Partial<Omit<ViewMember, 'received'>> & { received?: string } = {}): ViewMember => ({
  name, role: 'replica', host: `h${name.slice(1)}`, address: '10.0.0.1', port: 5430 + Number(name.slice(1)), pid: 1, state: 'streaming', step: null, timeline: 2, lsn: '0/100',
  lagBytes: 0, lagMs: 0, upstream: null, retainedBytes: null, voter: true, synchronous: false, pendingRestart: [], error: null, ...patch,
});
const group = (members: ViewMember[], patch: Partial<ViewGroup> = {}): ViewGroup => ({
  name: 'main', storage: 'local', commit: 'quorum', term: 7, primary: 'n1', state: 'healthy', reason: '', engine: null, operation: null, results: [], archive: null, members, ...patch,
});
const event = (sequence: number, patch: Partial<OrbitEvent> = {}): OrbitEvent => ({
  time: '2026-01-02T03:04:05.678Z', sequence, host: 'h1', group: 'main', member: 'n1', level: 'info', kind: 'promoted', message: 'n1 was promoted', operation: null, ...patch,
});
const three = (): ViewMember[] => [
  member('n1', { role: 'primary', state: 'running', lsn: '0/300' }),
  member('n2', { lsn: '0/100', received: '0/200' }),
  member('n3', { role: 'logger', lsn: null, received: '0/280', timeline: null }),
];
const of = (groups: ViewGroup[]): ViewDocument => ({ cluster: 'shop', groups });
const only = <T>(rows: T[]): T => {
  expect(rows).toHaveLength(1);
  return rows[0]!;
};

describe('pgorbit.members', () => {
  test('has every group of the cluster, and knows which member it is', () => {
    const other = group([member('n1', { role: 'primary' })], { name: 'other', commit: 'async' });
    const { members } = statusFile(of([group(three()), other]), 'main', 'n1', []);
    expect(members.map((row) => [row.group, row.member, row.is_self])).toEqual([['main', 'n1', true], ['main', 'n2', false], ['main', 'n3', false], ['other', 'n1', false]]);
  });

  test('what the document does not say is null', () => {
    const rows = statusFile(of([group([member('n1'), member('n2', { voter: false, received: '0/50', lagMs: null, lagBytes: null })])]), 'main', 'n2', []).members;
    expect(rows[0]).toMatchObject({ voter: true, received: null, lag_ms: 0 });
    expect(rows[1]).toMatchObject({ voter: false, received: '0/50', lag_ms: null, lag_bytes: null, role: 'replica', timeline: 2, lsn: '0/100' });
  });
});

describe('the polar views', () => {
  test('number voters from 1 and learners from 100, with roles and positions as PolarDB has them', () => {
    const members = [...three(), member('n4', { role: 'standby', voter: false, address: 'fe80::1' }), member('n5', { voter: false })];
    expect(statusFile(of([group(members)]), 'main', 'n2', []).polar_cluster).toEqual([
      { server_id: 1, ip_port: '10.0.0.1:5431', match_index: String(0x300), role: 2 },
      { server_id: 2, ip_port: '10.0.0.1:5432', match_index: String(0x200), role: 0 },
      { server_id: 3, ip_port: '10.0.0.1:5433', match_index: String(0x280), role: 0 },
      { server_id: 100, ip_port: '[fe80::1]:5434', match_index: String(0x100), role: 3 },
      { server_id: 101, ip_port: '10.0.0.1:5435', match_index: String(0x100), role: 3 },
    ]);
  });

  test('where nobody votes, replicas are followers and standbys learners', () => {
    const members = [member('n1', { voter: false }), member('n2', { voter: false }), member('n3', { voter: false, role: 'standby' })];
    expect(statusFile(of([group(members, { commit: 'async' })]), 'main', 'n1', []).polar_cluster.map((row) => row.role)).toEqual([2, 0, 3]);
  });

  test('a candidate is one, and without a primary nobody leads', () => {
    const members = [member('n1', { state: 'unknown', lsn: null }), member('n2', { state: 'promoting' }), member('n3')];
    const file = statusFile(of([group(members, { primary: null })]), 'main', 'n2', []);
    expect(file.polar_cluster.map((row) => row.role)).toEqual([0, 1, 0]);
    expect(only(file.polar_consensus)).toMatchObject({ state: 2, term: 7, leader_id: 0, synced_lsn: null, synced_tli: null, commit_index: null });
    expect(only(file.polar_member)).toMatchObject({ server_id: 2, current_leader: 0, paxos_role: 1 });
  });

  test('committed is what a majority of the voters has', () => {
    const consensus = (members: ViewMember[], patch: Partial<ViewGroup> = {}) => only(statusFile(of([group(members, patch)]), 'main', 'n1', []).polar_consensus);
    expect(consensus(three())).toEqual({
      state: 1, term: 7, leader_id: 1, synced_tli: 2, synced_lsn: '0/280', commit_index: String(0x280), flushed_lsn: '0/300', flushed_tli: 2,
    });
    expect(consensus([...three(), member('n4', { lsn: '0/290' })]).synced_lsn).toBe('0/280'); // three of four
    expect(consensus([...three(), member('n4', { role: 'standby', voter: false, lsn: '0/290' })]).synced_lsn).toBe('0/280'); // no voter
    expect(consensus([three()[0]!, member('n2', { lsn: null }), member('n3', { lsn: null })]).synced_lsn).toBeNull();
    expect(consensus([three()[0]!, member('n2', { lsn: '0/90' })], { commit: 'async' }).synced_lsn).toBe('0/300');
    expect(consensus([member('n1', { lsn: 'A/0' }), member('n2', { lsn: '9/FFFFFFFF' })]).synced_lsn).toBe('9/FFFFFFFF'); // as numbers, not as text
  });

  test('a member that the document does not know sees the others, not itself', () => {
    const file = statusFile(of([group(three())]), 'main', 'n9', []);
    expect(file.polar_cluster).toHaveLength(3);
    expect([file.polar_consensus, file.polar_member]).toEqual([[], []]);
    expect(statusFile(of([]), 'main', 'n1', [])).toMatchObject({ members: [], polar_cluster: [], polar_consensus: [], polar_member: [] });
  });
});

test('events: the newest, none of them endless', () => {
  const { events } = statusFile(of([]), 'main', 'n1', Array.from({ length: 1000 }, (_, at) => event(at + 1, { message: 'x'.repeat(5000) })));
  expect([events[0]?.sequence, events.at(-1)?.sequence]).toEqual([801, 1000]);
  expect(asciiJson({ events }).length).toBeLessThan(1024 * 1024);
});

test('asciiJson is ASCII without a pair of backslashes, and says the same', () => {
  const value = { a: '节点 é 😀 "quoted" \\ \\\\u1234 \n \u007f', b: [1, null, true] };
  const text = asciiJson(value);
  expect(JSON.parse(text)).toEqual(value);
  expect(text).toMatch(/^[\x20-\x7e]*$/);
  expect(text).not.toContain('\\\\');
  expect(JSON.parse(asciiJson('a\0b\ud800c'))).toBe('ab\ufffdc');
});

describe('installSql', () => {
  const empty = { plpgsql: true, objects: new Map() };

  test('makes all of it, and grants before anything joins the extension', () => {
    const sql = installSql(empty);
    expect(sql).toContain('create schema pgorbit');
    expect(sql.at(-1)).toBe(`comment on schema pgorbit is '${MARK}'`);
    for (const view of VIEWS) {
      const grant = sql.indexOf(`grant select on pgorbit.${view.name} to pg_monitor`);
      expect(grant).toBeGreaterThan(0);
      expect(sql.indexOf(`alter extension plpgsql add view ${view.schema}.${view.name}`)).toBeGreaterThan(grant);
    }
    expect(sql.filter((one) => / to (?!pg_monitor)/.test(one) && one.startsWith('grant'))).toEqual([]);
  });

  test('leaves the extension out where it is not, and does not make or add what is there', () => {
    expect(installSql({ ...empty, plpgsql: false }).filter((one) => one.includes('extension') || one.includes('pg_init_privs'))).toEqual([]);
    const there = { trusted: true, member: true, comment: null };
    const sql = installSql({ plpgsql: true, objects: new Map([['pgorbit', there], ['pg_catalog.polar_dma_member_status', there]]) });
    expect(sql).not.toContain('create schema pgorbit');
    expect(sql).not.toContain('alter extension plpgsql add schema pgorbit');
    expect(sql.filter((one) => one.includes('polar_dma_member_status') && !one.startsWith('update')).map((one) => one.slice(0, 60))).toEqual([
      'create or replace view pg_catalog.polar_dma_member_status as', 'grant select on pg_catalog.polar_dma_member_status to pg_mon',
    ]);
  });
});
