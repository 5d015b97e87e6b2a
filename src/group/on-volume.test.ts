import { expect, it } from 'vitest';
import { volumeOf } from './on-volume.ts';
import { memberSpec, specOf } from './testing/build.ts';

it("a member lives on the group's volume unless it is a logger or has storage of its own", () => {
  const group = specOf(['n1', 'n2', 'n3', 'n4']);
  group.members['n3'] = memberSpec('n3', { role: 'standby', volume: 'far' });
  group.members['n4'] = memberSpec('n4', { role: 'standby', path: '/srv/n4' });
  const of = (name: string, role: 'replica' | 'logger' | 'standby' = 'replica'): string | null => volumeOf(group, { name, role });
  expect([of('n2'), of('n2', 'logger'), of('n3', 'standby'), of('n4', 'standby'), of('gone')]).toEqual(['main', null, 'far', null, 'main']);
  expect(volumeOf({ ...group, storage: 'local', volume: null }, { name: 'n2', role: 'replica' })).toBeNull();
});
