import { expect, it } from 'vitest';
import { diffSpecs } from '../../manifest/diff.ts';
import { clusterSpec, groupSpec } from '../testing/specs.ts';
import { primaryFirst } from './restart-order.ts';

const withSettings = (settings: Record<string, string>) => clusterSpec(['h1'], [groupSpec('main', {}, settings)]);
const order = (before: Record<string, string>, after: Record<string, string>): boolean => {
  return primaryFirst(diffSpecs(withSettings(before), withSettings(after)), 'main');
};

it('restarts the primary first where a limit goes down, and replicas first otherwise', () => {
  expect(order({ max_connections: '200' }, { max_connections: '50' })).toBe(true);
  expect(order({}, { max_connections: '50' })).toBe(true);
  expect(order({ max_connections: '50' }, {})).toBe(false);
  expect(order({ max_connections: '50' }, { max_connections: '200' })).toBe(false);
  expect(order({}, { shared_buffers: '16MB' })).toBe(false);
});
