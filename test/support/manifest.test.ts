import { expect, test } from 'vitest';
import type { ClusterSpec } from '../../src/group/model.ts';
import { loadManifest } from '../../src/manifest/load.ts';
import { quorumManifest, sharedManifest } from './manifest.ts';

function specOf(text: string): ClusterSpec {
  const loaded = loadManifest(text, { file: 'manifest.yaml', baseDir: '/' });
  if (!loaded.ok) throw new Error(loaded.errors.map(({ message }) => message).join('; '));
  return loaded.spec;
}

test('the manifest is one that pgorbit takes, with every option', () => {
  const text = sharedManifest({
    volume: '/srv/v', driver: 'btrfs', size: '2GB', version: 15, replicas: 3, hosts: 2, firstPort: 20_000,
    failover: 'manual', recloneAbove: 0, checkpoint: 'spread', settings: { shared_buffers: '64MB', max_connections: 50 },
  });
  const spec = specOf(text);
  const group = spec.groups['main']!;
  expect(Object.values(group.members).map(({ host, role, port }) => [host, role, port])).toEqual([
    ['h1', 'primary', 20_020], ['h2', 'replica', 20_021], ['h1', 'replica', 20_022], ['h2', 'replica', 20_023],
  ]);
  expect(spec.hosts['h2']).toMatchObject({ address: '127.0.0.1', port: 20_001 });
  expect(spec.volumes['main']).toMatchObject({ path: '/srv/v', driver: 'btrfs', size: 2 * 1024 ** 3 });
  expect(group).toMatchObject({ failover: 'manual', recloneAbove: 0, checkpoint: 'spread', settings: { shared_buffers: '64MB', max_connections: '50' } });
});

test('the shortest manifest has a primary and two replicas on three hosts', () => {
  const spec = specOf(sharedManifest({ volume: '/srv/v' }));
  expect(Object.keys(spec.hosts)).toEqual(['h1', 'h2', 'h3']);
  expect(Object.values(spec.groups['main']!.members).map(({ role, port }) => [role, port])).toEqual([['primary', null], ['replica', null], ['replica', null]]);
});

test('a quorum group has a primary, a replica and a logger, each on a host of its own', () => {
  const spec = specOf(quorumManifest({ cluster: 'q', version: 15, firstPort: 20_000, archive: '{ to: /srv/b }', settings: { wal_keep_size: 0 } }));
  expect(spec).toMatchObject({ cluster: 'q', volumes: {}, hosts: { h1: { port: 20_000 }, h3: { address: '127.0.0.1', port: 20_002 } } });
  const group = spec.groups['main']!;
  expect(group).toMatchObject({ storage: 'local', commit: 'quorum', archive: { to: '/srv/b' }, settings: { wal_keep_size: '0' } });
  expect(Object.values(group.members).map(({ name, host, role, port }) => [name, host, role, port])).toEqual([
    ['n1', 'h1', 'primary', 20_020], ['n2', 'h2', 'replica', 20_021], ['n3', 'h3', 'logger', 20_022],
  ]);
});
