import { describe, expect, it } from 'vitest';
import { PgorbitError } from '../../errors.ts';
import { parseComplaint } from '../engine-settings.ts';
import { mergeEvents } from '../events.ts';
import { sinceTime } from '../commands/events.ts';
import { clusterSpec, groupSpec, groupStatus, memberStatus, statusDocument } from '../testing/specs.ts';
import { planAgents } from './agents.ts';
import { keepMajor } from './major.ts';
import { parseAssignments } from './assignments.ts';
import { missing, pendingRestarts } from './health.ts';
import { chooseImageFs, demoSize, imageObstacle } from './image.ts';
import { judgeMemory, memorySetting } from './memory.ts';
import { keepPorts, newMembers, openPorts, usedPorts } from './ports.ts';
import { alignRoles, refuseRemovedPrimary } from './roles.ts';
import { withoutMembers } from './shrink.ts';

const GB = 1024 ** 3;
const MB = 1024 ** 2;
const base = clusterSpec(['h1', 'h2'], [groupSpec('main', { n1: ['h1', 'primary', 5433], n2: ['h2', 'replica', 5434] })]);

describe('keepMajor', () => {
  const of = (version: number | null, bin: string | null = null): typeof base => ({ ...base, engine: { kind: 'postgres', version, bin } });

  it('keeps a version that was settled, where the manifest leaves it open', () => {
    expect(keepMajor(of(15), of(null)).engine.version).toBe(15);
    expect(keepMajor(of(15), of(18)).engine.version).toBe(18);
    expect(keepMajor(of(null), of(null)).engine.version).toBe(null);
    expect(keepMajor(of(15), of(null, '/opt/bin')).engine).toEqual({ kind: 'postgres', version: null, bin: '/opt/bin' });
  });
});

describe('missing', () => {
  const up = [memberStatus('n1', { role: 'primary', state: 'running' }), memberStatus('n2')];

  it('is nothing when everyone does their work', () => {
    expect(missing(statusDocument([groupStatus('main', up)]), base)).toEqual([]);
  });

  it('names what is not there, not ready, or not gone yet', () => {
    expect(missing(statusDocument([]), base)).toEqual(['group main is not known yet']);
    expect(missing(statusDocument([groupStatus('main', up.slice(0, 1))]), base)).toEqual(['n2 is not made yet']);
    expect(missing(statusDocument([groupStatus('main', [up[0]!, memberStatus('n2', { state: 'attaching', step: 'cloning n1' })])]), base)).toEqual(['n2 is attaching (cloning n1)']);
    expect(missing(statusDocument([groupStatus('main', [...up, memberStatus('n3')])]), base)).toEqual(['n3 is being removed']);
    expect(missing(statusDocument([groupStatus('main', up, { state: 'down', reason: 'why' })]), base)).toEqual(['group main is down: why']);
  });

  it('does not take a primary that streams for one that runs', () => {
    expect(missing(statusDocument([groupStatus('main', [memberStatus('n1', { role: 'primary', state: 'streaming' }), up[1]!])]), base)).toHaveLength(1);
  });

  it('knows who waits for a restart', () => {
    expect(pendingRestarts(groupStatus('main', [up[0]!, memberStatus('n2', { pendingRestart: ['shared_buffers'] })]))).toEqual([{ member: 'n2', settings: ['shared_buffers'] }]);
  });
});

describe('ports', () => {
  const wish = clusterSpec(['h1', 'h2'], [groupSpec('main', { n1: ['h1', 'primary'], n2: ['h1', 'replica'], n3: ['h2', 'replica', 6000] })]);

  it('stay what they were, for the same member on the same host', () => {
    const kept = keepPorts(base, wish, [{ host: 'h1', address: '127.0.0.1', port: 7400 }]);
    expect(Object.values(kept.groups['main']!.members).map((member) => member.port)).toEqual([5433, null, 6000]);
    expect(kept.hosts['h1']!.port).toBe(7400);
    expect(openPorts(kept).map((open) => open.member)).toEqual(['n2']);
    expect(usedPorts(kept, '127.0.0.1').sort()).toEqual([5433, 6000, 7400]);
    expect(wish.hosts['h1']!.port).toBeNull();
  });

  it('are checked for members that are new, or in a new place', () => {
    expect(newMembers(base, keepPorts(base, wish)).map((member) => member.member)).toEqual(['n2', 'n3']);
    expect(newMembers(null, base)).toHaveLength(2);
  });
});

describe('roles after a failover', () => {
  const shrunk = clusterSpec(['h1', 'h2'], [groupSpec('main', { n2: ['h2', 'primary', 5434] })]);

  it('count as they are where the new manifest agrees with them', () => {
    expect(alignRoles(base, shrunk, { main: 'n2' }).groups['main']!.members['n1']!.role).toBe('replica');
    expect(alignRoles(base, shrunk, { main: 'n1' })).toEqual(base);
    expect(alignRoles(base, base, { main: 'n2' })).toEqual(base);
  });

  it('never let the member go that accepts writes now', () => {
    expect(() => refuseRemovedPrimary(shrunk, { main: 'n1' })).toThrow(PgorbitError);
    expect(() => refuseRemovedPrimary(shrunk, { main: 'n2' })).not.toThrow();
  });

  it('move to the present primary when the old one is taken out of the text', () => {
    const text = 'cluster: shop\nhosts: { h1: 127.0.0.1, h2: 127.0.0.1 }\nvolumes: { main: /v }\ngroups:\n  main:\n    volume: main\n    members:\n      n1: { host: h1, role: primary } # first\n      n2: { host: h2, role: replica }\n';
    expect(withoutMembers(text, 'main', ['n1'], 'n2')).toMatch(/members:\n( *#.*\n)? *n2: \{ host: h2, role: primary \}\n/);
    expect(withoutMembers(text, 'main', ['n2'], 'n1')).not.toContain('n2');
  });
});

describe('planAgents', () => {
  const file = { format: 1 as const, cluster: 'shop', clusterId: 'id', founders: ['h1', 'h2'], remote: [], agents: [{ host: 'h1', address: '127.0.0.1', port: 7400 }, { host: 'h2', address: '127.0.0.1', port: 7401 }] };

  it('keeps ports, and a leaving host until its members are gone', () => {
    const after = clusterSpec(['h1', 'h3'], []);
    expect(planAgents(file, base, after)).toEqual({ founders: ['h1', 'h2'], agents: [{ host: 'h1', address: '127.0.0.1', port: 7400 }, { host: 'h3', address: '127.0.0.1', port: null }, file.agents[1]] });
    expect(planAgents(file, null, after).agents).toHaveLength(2);
  });

  it('lets any host go, and begins with whom the manifest names until one was applied', () => {
    expect(planAgents(file, base, clusterSpec(['h2'], [])).founders).toEqual(['h1', 'h2']);
    expect(planAgents(file, null, clusterSpec(['h2'], [])).founders).toEqual(['h2']);
  });
});

describe('parseAssignments', () => {
  it('reads an optional group and settings, in any case', () => {
    expect(parseAssignments(['main', 'Work_Mem=8MB', 'x.y=a=b', 'fsync='])).toEqual({ group: 'main', settings: [{ name: 'work_mem', value: '8MB' }, { name: 'x.y', value: 'a=b' }, { name: 'fsync', value: null }] });
    expect(parseAssignments(['a=1']).group).toBeUndefined();
  });

  it.each([[['main']], [['a=1', 'a=2']], [['a=1', 'b']], [['=1']], [['1a=2']]])('refuses %j', (words) => {
    expect(() => parseAssignments(words)).toThrow(PgorbitError);
  });
});

describe('memory', () => {
  it('reads sizes as PostgreSQL does', () => {
    expect(memorySetting('128MB', 8192)).toBe(128 * MB);
    expect(memorySetting('16384', 8192)).toBe(128 * MB);
    expect(memorySetting("'1GB'", 8192)).toBe(GB);
    expect(memorySetting('lots', 8192)).toBeNull();
  });

  const judge = (settings: Record<string, string>, facts: { memory: number; devShm: number | null }) => judgeMemory([{ group: groupSpec('main', {}, settings), count: 3 }], facts)?.code ?? null;

  it('refuses what the machine does not have', () => {
    expect(judge({}, { memory: GB, devShm: 64 * MB })).toBeNull();
    expect(judge({ shared_buffers: '400MB' }, { memory: GB, devShm: 64 * MB })).toBe('shared-memory');
    expect(judge({}, { memory: 300 * MB, devShm: 64 * MB })).toBe('shared-memory');
    expect(judge({}, { memory: GB, devShm: null })).toBe('shared-memory');
    expect(judge({}, { memory: GB, devShm: 1 * MB })).toBe('shared-memory');
    expect(judge({ dynamic_shared_memory_type: 'mmap' }, { memory: GB, devShm: null })).toBeNull();
    expect(judge({ min_dynamic_shared_memory: '64MB' }, { memory: GB, devShm: 64 * MB })).toBe('shared-memory');
  });
});

describe('image volumes', () => {
  const all = { root: true, loop: true, btrfsProgs: true, xfsProgs: true, kernelBtrfs: true, kernelXfs: true };

  it('take btrfs, and XFS where the driver or the machine wants it', () => {
    expect(chooseImageFs('auto', all)).toBe('btrfs');
    expect(chooseImageFs('reflink', all)).toBe('xfs');
    expect(chooseImageFs('auto', { ...all, kernelBtrfs: false })).toBe('xfs');
    expect(chooseImageFs('btrfs', { ...all, kernelBtrfs: false })).toBe('btrfs');
  });

  it('say what is lacking, and how to get it', () => {
    expect(imageObstacle('btrfs', all)).toBeNull();
    expect(imageObstacle('btrfs', { ...all, root: false })?.code).toBe('permission');
    expect(imageObstacle('btrfs', { ...all, loop: false })?.message).toContain('loop');
    expect(imageObstacle('xfs', { ...all, xfsProgs: false })?.hint).toBe('apt-get install xfsprogs');
    expect(imageObstacle('btrfs', { ...all, kernelBtrfs: false })?.message).toContain('kernel');
  });

  it('are smaller where the disk has little room', () => {
    expect([100 * GB, 5 * GB, 3.2 * GB, GB].map(demoSize)).toEqual([2 * GB, GB, 768 * MB, null]);
  });
});

describe('events', () => {
  it('become one story', () => {
    const event = (time: string, host: string, sequence: number) => ({ time, host, sequence, group: null, member: null, level: 'info' as const, kind: 'k', message: '', operation: null });
    const merged = mergeEvents([[event('2', 'h1', 1), event('3', 'h1', 2)], [event('2', 'h0', 9), event('1', 'h2', 5)]]);
    expect(merged.map((one) => one.time + one.host)).toEqual(['1h2', '2h0', '2h1', '3h1']);
  });

  it('are wanted since a span ago or since a time', () => {
    expect(sinceTime('10min', Date.parse('2026-01-31T12:00:00Z'))).toBe('2026-01-31T11:50:00.000Z');
    expect(sinceTime('2026-01-31T12:00:00Z', 0)).toBe('2026-01-31T12:00:00.000Z');
    expect(() => sinceTime('2026-99-99', 0)).toThrow('no time');
    expect(() => sinceTime('yesterday', 0)).toThrow('no time span');
  });
});

describe('parseComplaint', () => {
  it("turns the server's words into a sentence", () => {
    expect(parseComplaint('2026 GMT [1] FATAL:  unrecognized configuration parameter "shared_bufers"\n', [['shared_bufers', '1']])).toBe('it does not know shared_bufers');
    expect(parseComplaint('x FATAL:  invalid value for parameter "work_mem": "64XB"\nx HINT:  Valid units.\n', [['work_mem', '64XB']])).toBe('invalid value for parameter "work_mem": "64XB" (Valid units.)');
  });
});
