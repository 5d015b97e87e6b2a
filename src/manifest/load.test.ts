import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GROUP } from './defaults.ts';
import type { ClusterSpec } from '../group/model.ts';
import { demoManifest } from './demo.ts';
import { manifestJsonSchema } from './json-schema.ts';
import { loadManifest } from './load.ts';
import type { LoadOptions } from './load.ts';
import { notesOn } from './notes.ts';

function load(text: string, options: Partial<LoadOptions> = {}): ClusterSpec {
  const loaded = loadManifest(text, { file: 'm.yaml', baseDir: '/srv/shop', ...options });
  if (!loaded.ok) throw new Error(loaded.errors.map((e) => `${e.line}: ${e.message}`).join('\n'));
  return loaded.spec;
}

const small = (members: string, group = ''): string =>
  `cluster: shop\nhosts: { h1: 127.0.0.1 }\nvolumes: { main: ./volume }\ngroups:\n  main: { volume: main, ${group} members: ${members} }\n`;

describe('a manifest that is right', () => {
  it('gets every default where it says nothing', () => {
    expect(load(small('{ n1: primary, n2: {} }'))).toEqual({
      cluster: 'shop',
      engine: { kind: 'postgres', version: null, bin: null },
      hosts: { h1: { name: 'h1', address: '127.0.0.1', port: null } },
      volumes: { main: { name: 'main', path: '/srv/shop/volume', driver: 'auto', size: null } },
      groups: {
        main: {
          ...GROUP, name: 'main', volume: 'main', settings: {},
          members: {
            n1: { name: 'n1', host: 'h1', role: 'primary', port: null, volume: null, path: null, source: null, rate: null },
            n2: { name: 'n2', host: 'h1', role: 'replica', port: null, volume: null, path: null, source: null, rate: null },
          },
        },
      },
    });
  });

  it('says everything in full', () => {
    const spec = load(`
cluster: shop
engine: { kind: postgres, version: 17, bin: ../pg/bin }
hosts: { h1: { address: db1.example.org, port: 7001 }, h2: { address: "::1" } }
volumes: { main: { path: /mnt/shop, driver: btrfs, size: 1.5 GB } }
groups:
  main:
    storage: shared
    volume: main
    commit: async
    failover: automatic
    reclone_above: 12.5%
    checkpoint: spread
    members: { n1: { host: h1, role: primary, port: 5432 }, n2: { host: h2, role: replica, port: 5432 } }
`);
    expect(spec.engine).toEqual({ kind: 'postgres', version: 17, bin: '/srv/pg/bin' });
    expect(spec.hosts['h1']).toEqual({ name: 'h1', address: 'db1.example.org', port: 7001 });
    expect(spec.volumes['main']).toEqual({ name: 'main', path: '/mnt/shop', driver: 'btrfs', size: 1.5 * 1024 ** 3 });
    expect(spec.groups['main']).toMatchObject({ failover: 'automatic', recloneAbove: 0.125, checkpoint: 'spread' });
    expect(spec.groups['main']?.members['n2']?.port).toBe(5432);
  });

  it('knows the words of the seeds for roles, in any case of letters', () => {
    const members = '{ a: RW, b: ro, c: Follower, d: slave, e: LEARNER, f: DataMax, g: witness, h: standby, i: logger }';
    const roles = Object.values(load(small(members)).groups['main']!.members).map((m) => m.role);
    expect(roles).toEqual(['primary', 'replica', 'replica', 'replica', 'standby', 'logger', 'logger', 'standby', 'logger']);
    for (const word of ['leader', 'Master']) expect(load(small(`{ a: ${word} }`)).groups['main']?.members['a']?.role).toBe('primary');
  });

  it('takes every point of the plane of storage and commit', () => {
    for (const storage of ['shared', 'local']) {
      for (const commit of ['async', 'quorum']) {
        const text = small('{ n1: primary, n2: logger }', `storage: ${storage}, commit: ${commit},`).replace(storage === 'local' ? 'volume: main, ' : '\0', '');
        expect(load(text).groups['main']).toMatchObject({ storage, commit });
      }
    }
  });

  it('reads all that a group of local storage may say', () => {
    const spec = load(`
cluster: shop
hosts: { h1: 10.0.0.1, h2: 10.0.0.2, h3: 10.0.0.3 }
volumes: { far: /mnt/far }
groups:
  main:
    storage: local
    commit: quorum
    election_timeout: 5s
    election_delay: 1.5 min
    preferred_primary: n2
    membership_timeout: 500 s
    join_lag: 64MB
    electable_lag: 0kB
    without_majority: run
    logger: { purge: false, purge_every: 500ms, keep: 32MB, keep_for: 1h, limit: 2GB, send_timeout: 10s, packet: 64kB }
    members:
      n1: { host: h1, role: primary, path: /srv/n1 }
      n2: { host: h2, path: data/n2 }
      n3: { host: h3, role: logger, path: ./wal }
      n4: { host: h3, role: standby, volume: far }
`);
    expect(spec.groups['main']).toMatchObject({
      storage: 'local', volume: null, commit: 'quorum', electionTimeoutMs: 5000, electionDelayMs: 90_000, preferredPrimary: 'n2',
      membershipTimeoutMs: 500_000, joinLagBytes: 64 * 1024 ** 2, electableLagBytes: 0, withoutMajority: 'run',
      logger: { purge: false, purgeEveryMs: 500, keepBytes: 32 * 1024 ** 2, keepMs: 3_600_000, maxBytes: 2 * 1024 ** 3, sendTimeoutMs: 10_000, packetBytes: 65_536 },
    });
    expect(Object.values(spec.groups['main']!.members).map((m) => [m.role, m.volume, m.path])).toEqual([
      ['primary', null, '/srv/n1'], ['replica', null, '/srv/shop/data/n2'], ['logger', null, '/srv/shop/wal'], ['standby', 'far', null],
    ]);
  });

  it('gives a logger its defaults where `logger` says a part, or nothing', () => {
    expect(load(small('{ n1: primary, n2: logger }', 'logger: { keep: 2GB },')).groups['main']?.logger).toEqual({ ...GROUP.logger, keepBytes: 2 * 1024 ** 3 });
    expect(load(small('{ n1: primary, n2: logger }', 'logger: ,')).groups['main']?.logger).toEqual(GROUP.logger);
  });

  it('archives where it says, with defaults for the rest', () => {
    const archive = (text: string): unknown => load(small('{ n1: primary, n2: logger }', text)).groups['main']?.archive;
    expect(archive('archive: ../wal,')).toEqual({ to: '/srv/wal', source: null, flushMs: 1_000, hosts: null });
    expect(archive('archive: "s3://bucket/shop",')).toEqual({ to: 's3://bucket/shop', source: null, flushMs: 10_000, hosts: null });
    expect(archive('archive: "S3://bucket/shop",')).toEqual({ to: 'S3://bucket/shop', source: null, flushMs: 10_000, hosts: null });
    expect(archive('archive: { to: /mnt/wal, source: logger, flush: 500ms, hosts: [h1] },')).toEqual({ to: '/mnt/wal', source: 'logger', flushMs: 500, hosts: ['h1'] });
    expect(archive('archive: ,')).toBe(null);
  });

  it.each([
    ['archive: { source: primary },', 'groups.main.archive.to', '`to` is missing'],
    ['archive: "ftp://x/y",', 'groups.main.archive.to', 'ftp://x/y is neither a folder nor s3://'],
    ['archive: ./volume/wal,', 'groups.main.archive.to', 'lies on volume `main`'],
    ['archive: { to: /w, source: logger },', 'groups.main.archive.source', 'group `main` has no logger'],
    ['archive: { to: /w, source: standby },', 'groups.main.archive.source', '`source` cannot be "standby"'],
    ['archive: { to: /w, flush: 10 },', 'groups.main.archive.flush', '`flush` cannot be 10'],
    ['archive: { to: /w, hosts: [h9] },', 'groups.main.archive.hosts.0', 'has no member on host `h9`'],
  ])('refuses to archive with %s', (text, key, message) => {
    const loaded = loadManifest(small('{ n1: primary }', text), { file: 'm.yaml', baseDir: '/srv/shop' });
    expect(loaded.ok ? [] : loaded.errors).toMatchObject([{ key, message: expect.stringContaining(message) }]);
  });

  it('keeps settings as they were written', () => {
    const text = small('{ n1: primary }', 'settings: { Work_Mem: 4MB, log_file_mode: 0640, a.b: 1e3, random_page_cost: 1.10, jit: false, hot_standby: true, x: "0o7", y: 0o17, z: off, big: 123456789012345678901 },');
    expect(load(text).groups['main']?.settings).toEqual({
      work_mem: '4MB', log_file_mode: '0640', 'a.b': '1e3', random_page_cost: '1.10', jit: 'off', hot_standby: 'on', x: '0o7', y: '017', z: 'off', big: '123456789012345678901',
    });
  });

  it('reads anchors and merge keys', () => {
    const text = `cluster: shop
hosts: { h1: 127.0.0.1 }
volumes: { main: ./volume }
groups:
  a: &group { volume: main, settings: &s { work_mem: 8MB }, members: { a1: primary } }
  b: { <<: *group, settings: { <<: *s, jit: false }, members: { b1: primary } }
`;
    expect(load(text).groups['b']).toMatchObject({ volume: 'main', settings: { work_mem: '8MB', jit: 'off' } });
  });

  it('lets the engine judge settings with the version that is asked for', () => {
    const seen: unknown[] = [];
    const checkSetting: LoadOptions['checkSetting'] & object = (...args) => (seen.push(args), { ok: true });
    load(`${small('{ n1: primary }', 'settings: { Work_Mem: 4MB },')}engine: { version: 16 }\n`, { checkSetting });
    expect(seen).toEqual([['work_mem', '4MB', 16]]);
    const refused = loadManifest(small('{ n1: primary }', 'settings: { fsync: off },'), { file: 'm.yaml', baseDir: '/' });
    expect(refused.ok ? [] : refused.errors.map((e) => e.key)).toEqual(['groups.main.settings.fsync']);
  });
});

describe('errors', () => {
  it('never throws, whatever the text', () => {
    const bits = fc.constantFrom('cluster', 'hosts', 'groups', 'members', 'n1', ':', ': ', '\n', '\n  ', '\n    ', '{', '}', '[', ']', ',', '&a', '*a', '<<', '? ', '- ', '|', '"', "'", '#', '\t', '!x', '__proto__', '1', '~', '---', '\r\n', '成');
    fc.assert(fc.property(fc.array(bits, { maxLength: 25 }), (parts) => {
      const text = parts.join('');
      const loaded = loadManifest(text, { file: 'm.yaml', baseDir: '/' });
      expect(loaded.ok).toBe(false);
      const lines = text.split('\n');
      for (const e of loaded.ok ? [] : loaded.errors) {
        expect(e.line >= 1 && e.line <= lines.length && e.column >= 1 && e.column <= lines[e.line - 1]!.length + 1).toBe(true);
      }
    }), { numRuns: 500 });
  });

  it('reports mistakes of form and of meaning together, in the order of the file', () => {
    const loaded = loadManifest(small('{ n1: { host: h9, role: primary }, n2: { port: 1 }, n1: primary }').replace('shop', 'Shop'), { file: 'm.yaml', baseDir: '/' });
    expect(loaded.ok ? [] : loaded.errors.map((e) => e.key)).toEqual(['cluster', 'groups.main.members.n2.port', 'groups.main.members.n1']);
  });
});

const root = new URL('../../', import.meta.url);

// Both files are generated: `npx vitest run --update src/manifest/load.test.ts` writes them anew.
describe('what is shipped', () => {
  it('schema/pgorbit.schema.json is what the code gives', async () => {
    await expect(manifestJsonSchema()).toMatchFileSnapshot(new URL('schema/pgorbit.schema.json', root).pathname);
  });

  it('describes every key of the schema', () => {
    const bare: string[] = [];
    const walk = (node: Record<string, unknown>, path: string): void => {
      for (const [key, value] of Object.entries((node['properties'] ?? {}) as Record<string, Record<string, unknown>>)) {
        if (typeof value['description'] !== 'string') bare.push(`${path}.${key}`);
        walk(value, `${path}.${key}`);
      }
      for (const inner of [node['additionalProperties'], ...((node['anyOf'] ?? []) as unknown[])]) {
        if (typeof inner === 'object' && inner !== null) walk(inner as Record<string, unknown>, path);
      }
    };
    walk(JSON.parse(manifestJsonSchema()) as Record<string, unknown>, '');
    expect(bare).toEqual([]);
  });

  it('examples/shared-storage.yaml loads: one writer, two readers', () => {
    const spec = load(readFileSync(new URL('examples/shared-storage.yaml', root), 'utf8'));
    expect(Object.values(spec.groups['main']!.members).map((m) => `${m.role} on ${spec.hosts[m.host]!.address}`)).toEqual([
      'primary on 127.0.0.11', 'replica on 127.0.0.12', 'replica on 127.0.0.13',
    ]);
  });

  it('examples/site-b.yaml loads: a cluster that begins as a standby of another', () => {
    const spec = load(readFileSync(new URL('examples/site-b.yaml', root), 'utf8'));
    expect(spec).toMatchObject({ cluster: 'three-b', standbyOf: 'three' });
    expect(load(readFileSync(new URL('examples/three-node.yaml', root), 'utf8'))).not.toHaveProperty('standbyOf');
    const itself = loadManifest(readFileSync(new URL('examples/site-b.yaml', root), 'utf8').replace('standby_of: three', 'standby_of: three-b'), { file: 'x', baseDir: '/' });
    expect(itself).toMatchObject({ ok: false, errors: [{ key: 'standby_of', message: 'a cluster is no standby of itself' }] });
  });

  it('examples/three-node.yaml loads: three voters on three hosts, two with data', () => {
    const spec = load(readFileSync(new URL('examples/three-node.yaml', root), 'utf8'));
    expect(spec.groups['main']).toMatchObject({ storage: 'local', volume: null, commit: 'quorum' });
    expect(Object.values(spec.groups['main']!.members).map((m) => `${m.role} on ${m.host}`)).toEqual(['primary on h1', 'replica on h2', 'logger on h3']);
    expect(notesOn(spec)).toEqual([]);
  });

  it('the demo loads, and the example of it is the same text', async () => {
    await expect(demoManifest({ volumePath: './volume' })).toMatchFileSnapshot(new URL('examples/demo.yaml', root).pathname);
    const spec = load(demoManifest({ cluster: 'try', volumePath: '/mnt/a "b": #c', hosts: 2 }));
    expect([spec.cluster, spec.volumes['main']?.path, Object.keys(spec.hosts)]).toEqual(['try', '/mnt/a "b": #c', ['h1', 'h2']]);
    expect(Object.values(spec.groups['main']!.members).map((m) => `${m.name} ${m.role} ${m.host}`)).toEqual(['n1 primary h1', 'n2 replica h2']);
  });
});
