import { expect, test } from 'vitest';
import type { ClusterSpec } from '../../src/group/model.ts';
import { loadManifest } from '../../src/manifest/load.ts';
import { sharedManifest } from './manifest.ts';

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
