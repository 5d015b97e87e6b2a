import { expect, it } from 'vitest';
import { loadManifest } from '../../manifest/load.ts';
import { clusterSpec, groupSpec } from '../testing/specs.ts';
import { leftOut, offspringManifest } from './offspring.ts';

it('a promoted standby becomes a group of one, on its host and port, with the settings but the archive', () => {
  const group = groupSpec('main', { n1: ['h1', 'primary'] }, { shared_buffers: '64MB', work_mem: '0640', archive_mode: 'on', archive_command: 'cp %p /a/%f' });
  const member = { name: 's1', host: 'h2', role: 'standby', port: 5440, volume: null, path: '/srv/far', source: 'n1', rate: null } as const;
  const of = clusterSpec(['h1', 'h2'], [{ ...group, members: { ...group.members, s1: member } }]);
  const text = offspringManifest({ cluster: 'dr', of, group, member, major: 17, path: '/srv/far' });
  const loaded = loadManifest(text, { file: 'm', baseDir: '/', checkSetting: () => ({ ok: true }) });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.errors));
  expect(loaded.spec).toMatchObject({
    cluster: 'dr', engine: { version: 17 }, volumes: {},
    groups: { main: { storage: 'local', commit: 'async', volume: null, settings: { shared_buffers: '64MB', work_mem: '0640' }, members: { s1: { host: 'h2', role: 'primary', port: 5440, path: '/srv/far' } } } },
  });
  expect(Object.keys(loaded.spec.hosts)).toEqual(['h2']);
  expect(leftOut(group)).toEqual(['archive_command', 'archive_mode']);
});
