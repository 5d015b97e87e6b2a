import { describe, expect, it } from 'vitest';
import type { ClusterSpec } from '../group/model.ts';
import { demoManifest } from './demo.ts';
import { diffSpecs, formatChanges } from './diff.ts';
import { loadManifest } from './load.ts';
import { needsRestart } from './restart.ts';

function demo(change: (spec: ClusterSpec) => void = () => undefined): ClusterSpec {
  const loaded = loadManifest(demoManifest({ volumePath: '/srv/volume' }), { file: 'demo', baseDir: '/' });
  if (!loaded.ok) throw new Error('the demo does not load');
  change(loaded.spec);
  return loaded.spec;
}

const lines = (before: ClusterSpec | null, after: ClusterSpec, running?: number): string[] => formatChanges(diffSpecs(before, after, running)).split('\n').slice(0, -1);

/** The first line of a change that is refused, and that nothing else differs. */
function refused(change: (spec: ClusterSpec) => void, before: (spec: ClusterSpec) => void = () => undefined): string {
  const changes = diffSpecs(demo(before), demo(change));
  expect(changes).toHaveLength(1);
  expect(changes[0]!.refused?.reason).toMatch(/\w/);
  expect(changes[0]!.refused?.instead).toMatch(/\w/);
  return formatChanges(changes).split('\n')[0]!;
}

type Edit = (spec: ClusterSpec) => void;
const sized = (gb: number): Edit => (s) => void (s.volumes['main']!.size = gb * 1024 ** 3);
const driver = (name: 'btrfs' | 'reflink'): Edit => (s) => void (s.volumes['main']!.driver = name);
const version = (v: number): Edit => (s) => void (s.engine.version = v);
const group = (change: Partial<ClusterSpec['groups'][string]>): Edit => (s) => void Object.assign(s.groups['main']!, change);

describe('what a manifest changes', () => {
  it('is everything where nothing was', () => {
    expect(lines(null, demo())).toEqual([
      '+ cluster demo',
      '+ host h1 (127.0.0.1)', '+ host h2 (127.0.0.1)', '+ host h3 (127.0.0.1)',
      '+ volume main (/srv/volume, driver auto)',
      '+ group main (shared storage on main, commit async)',
      '+ member n1 (primary on h1)', '+ member n2 (replica on h2)', '+ member n3 (replica on h3)',
    ]);
  });

  it('is nothing for the same manifest', () => {
    expect(diffSpecs(demo(), demo())).toEqual([]);
  });

  it('is members, hosts and volumes that come and go', () => {
    const after = demo((s) => {
      s.groups['main']!.members['n4'] = { name: 'n4', host: 'h4', role: 'replica', port: 5433, volume: null, path: null, source: null, rate: null };
      delete s.groups['main']!.members['n3'];
      s.hosts['h4'] = { name: 'h4', address: '10.0.0.4', port: null };
      delete s.hosts['h3'];
      s.volumes['b'] = { name: 'b', path: '/b', driver: 'btrfs', size: 10 * 1024 ** 3 };
    });
    expect(lines(demo(), after)).toEqual(['+ host h4 (10.0.0.4)', '- host h3 (127.0.0.1)', '+ volume b (/b, driver btrfs, 10GB)', '+ member n4 (replica on h4, port 5433)', '- member n3']);
  });

  it("is a standby's source and the rate of its copy", () => {
    const standby = (source: string | null, rate: number | null): Edit => (s) => void Object.assign(s.groups['main']!.members['n3']!, { role: 'standby', source, rate });
    expect(lines(demo(standby(null, null)), demo(standby('n2', 50 * 1024 ** 2)))).toEqual(['~ member n3: source primary → n2', '~ member n3: rate unlimited → 50MB/s']);
  });

  it('is settings, with what each takes', () => {
    const after = demo((s) => {
      s.groups['main']!.settings = { shared_buffers: '256MB', work_mem: '8MB' };
      Object.assign(s.groups['main']!, { failover: 'manual', recloneAbove: 0.5, checkpoint: 'spread', commit: 'quorum' });
    });
    expect(lines(demo((s) => (s.groups['main']!.settings['jit'] = 'off')), after)).toEqual([
      '~ group main: commit async → quorum', '~ group main: failover automatic → manual', '~ group main: reclone_above 25% → 50%', '~ group main: checkpoint fast → spread',
      '~ group main: shared_buffers 128MB → 256MB (restart)', '~ group main: jit off → (default) (reload)', '~ group main: work_mem (default) → 8MB (reload)',
    ]);
  });

  it("is a group's times and limits, all in place", () => {
    const after = demo((s) => {
      const main = s.groups['main']!;
      Object.assign(main, { electionTimeoutMs: 5000, electionDelayMs: 90_000, preferredPrimary: 'n2', membershipTimeoutMs: 1500, joinLagBytes: 0, electableLagBytes: 1024, withoutMajority: 'run' });
      main.logger = { purge: false, purgeEveryMs: 100, keepBytes: 2 ** 31, keepMs: 0, maxBytes: 2 ** 34, sendTimeoutMs: 1000, packetBytes: 8192 };
    });
    expect(lines(demo(), after)).toEqual([
      'election_timeout 2s → 5s', 'election_delay 0s → 90s', 'preferred_primary none → n2', 'membership_timeout 1min → 1500ms', 'join_lag 16MB → 0kB',
      'electable_lag 16MB → 1kB', 'without_majority stop → run', 'logger.purge true → false', 'logger.purge_every 10s → 100ms', 'logger.keep 1GB → 2GB',
      'logger.keep_for 15min → 0s', 'logger.limit 8GB → 16GB', 'logger.send_timeout 1min → 1s', 'logger.packet 128kB → 8kB',
    ].map((change) => `~ group main: ${change}`));
  });

  it('is where WAL is archived, and how, all in place', () => {
    const archive = { to: '/a', source: null, flushMs: 1000, hosts: null };
    expect(lines(demo(), demo(group({ archive })))).toEqual(['~ group main: archive.to none → /a']);
    expect(lines(demo(group({ archive })), demo(group({ archive: null })))).toEqual(['~ group main: archive.to /a → none']);
    expect(lines(demo(group({ archive })), demo(group({ archive: { to: '/b', source: 'replica', flushMs: 500, hosts: ['h2', 'h3'] } })))).toEqual([
      'archive.to /a → /b', 'archive.source chosen → replica', 'archive.flush 1s → 500ms', 'archive.hosts all → h2, h3',
    ].map((change) => `~ group main: ${change}`));
  });

  it('is a switchover where the primary moves, a restart where a port does', () => {
    const after = demo((s) => {
      s.groups['main']!.members['n1']!.role = 'replica';
      s.groups['main']!.members['n2']!.role = 'primary';
      s.groups['main']!.members['n3']!.port = 5499;
    });
    expect(lines(demo(), after)).toEqual(['~ member n1: role primary → replica (switchover)', '~ member n2: role replica → primary (switchover)', '~ member n3: port chosen → 5499 (restart)']);
    expect(lines(demo((s) => (s.groups['main']!.members['n3']!.port = 5499)), demo())).toEqual([]);
  });

  it('is a volume that grows', () => {
    expect(lines(demo(sized(10)), demo(sized(20)))).toEqual(['~ volume main: size 10GB → 20GB']);
    expect(refused(sized(10), sized(20))).toBe('~ volume main: size 20GB → 10GB (refused)');
    expect(refused(sized(10))).toBe('~ volume main: size that of its file system → 10GB (refused)');
  });
});

describe('what cannot be done in place is refused', () => {
  it.each<[string, (s: ClusterSpec) => void]>([
    ['~ cluster demo: name demo → shop (refused)', (s) => { s.cluster = 'shop'; }],
    ['~ group main: storage shared → local (refused)', group({ storage: 'local', volume: null })],
    ['~ group main: volume main → b (refused)', group({ volume: 'b' })],
    ['~ volume main: path /srv/volume → /other (refused)', (s) => { s.volumes['main']!.path = '/other'; }],
    ['~ host h1: address 127.0.0.1 → 10.0.0.1 (refused)', (s) => { s.hosts['h1']!.address = '10.0.0.1'; }],
    ['~ host h1: port chosen → 7000 (refused)', (s) => { s.hosts['h1']!.port = 7000; }],
    ['~ member n2: host h2 → h3 (refused)', (s) => { s.groups['main']!.members['n2']!.host = 'h3'; }],
    ['~ member n2: role replica → standby (refused)', (s) => { s.groups['main']!.members['n2']!.role = 'standby'; }],
    ["~ member n2: path the agent's home → /srv/n2 (refused)", (s) => { s.groups['main']!.members['n2']!.path = '/srv/n2'; }],
    ["~ member n2: volume the group's → far (refused)", (s) => { s.groups['main']!.members['n2']!.volume = 'far'; }],
    ['- member n1 (primary, refused)', (s) => { delete s.groups['main']!.members['n1']; }],
    ['- group main (3 members, refused)', (s) => { s.groups = {}; }],
  ])('%s', (line, change) => expect(refused(change)).toBe(line));

  it('a driver once it is named', () => {
    expect(refused(driver('reflink'), driver('btrfs'))).toBe('~ volume main: driver btrfs → reflink (refused)');
    expect(lines(demo(), demo(driver('btrfs')))).toEqual(['~ volume main: driver auto → btrfs']);
  });

  it('another major version, by what runs where that is known', () => {
    expect(refused(version(18), version(17))).toBe('~ engine postgres: version 17 → 18 (refused)');
    expect(lines(demo(), demo(version(18)), 18)).toEqual([]);
    expect(lines(demo(), demo(version(18)), 17)[0]).toBe('~ engine postgres: version 17 → 18 (refused)');
    expect(lines(demo(version(18)), demo(), 18)).toEqual([]);
  });

  it('a cluster begins as a standby of another, or never becomes one; to leave that out later is free', () => {
    const of = (name: string): Edit => (s) => void (s.standbyOf = name);
    expect(refused(of('shop'))).toMatch(/standby_of none → shop/);
    expect(refused(of('shop'), of('store'))).toMatch(/standby_of store → shop/);
    expect(lines(demo(of('shop')), demo())).toEqual([]);
    expect(lines(demo(of('shop')), demo(of('shop')))).toEqual([]);
  });

  it('says why and what to do', () => {
    expect(lines(demo(), demo((s) => (s.groups['main']!.members['n2']!.host = 'h3')))).toEqual([
      '~ member n2: host h2 → h3 (refused)', '    a member stays on its host', '    instead: put `host: h2` back, add a member of another name on h3, and remove n2 when that one streams',
    ]);
  });
});

describe('needsRestart', () => {
  it('follows the version', () => {
    expect(['shared_buffers', 'MAX_CONNECTIONS', 'io_method', 'work_mem', 'constructor'].map((n) => needsRestart(n, 18))).toEqual([true, true, true, false, false]);
    expect([15, 17, 18, null].map((major) => needsRestart('autovacuum_max_workers', major))).toEqual([true, true, false, true]);
  });
});
