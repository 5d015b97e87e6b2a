import { describe, expect, it } from 'vitest';
import type { MemberSpec } from '../../group/model.ts';
import { clusterSpec, groupSpec } from '../testing/specs.ts';
import { ownFolders, storageOf } from './storage.ts';

const group = groupSpec('main', { n1: ['h1', 'primary'] });
const spec = clusterSpec(['h1'], [group]);
spec.volumes['far'] = { name: 'far', path: '/far', driver: 'auto', size: null };
const member = (patch: Partial<MemberSpec>): MemberSpec => ({ ...group.members['n1']!, ...patch });

describe('where a member lives', () => {
  it.each<[string, Partial<MemberSpec>, object]>([
    ["on the group's volume", {}, { volume: '/v', own: null }],
    ['in its own folder', { role: 'standby', path: '/srv/n1' }, { volume: null, own: '/srv/n1' }],
    ['on its own volume', { role: 'standby', volume: 'far' }, { volume: null, own: '/far/shop/main/n1' }],
    ['in the home, as every logger', { role: 'logger' }, { volume: null, own: null }],
  ])('%s', (_what, patch, storage) => {
    const one = member(patch);
    expect(storageOf(spec, { ...group, members: { n1: one } }, one)).toEqual(storage);
  });

  it('is the home on local storage', () => {
    expect(storageOf(spec, { ...group, storage: 'local', volume: null }, member({}))).toEqual({ volume: null, own: null });
    expect(ownFolders({ ...spec, groups: { main: { ...group, members: { n1: member({ path: '/srv/n1' }), n2: member({}) } } } })).toEqual(['/srv/n1']);
  });
});
