import { describe, expect, it } from 'vitest';
import { PgorbitError } from '../../errors.ts';
import { clusterSpec, groupSpec } from '../testing/specs.ts';
import { chooseGroup, chooseMember, nextHost, nextName, planScale } from './names.ts';
import { chooseCluster } from './select.ts';

const main = groupSpec('main', { n1: ['h1', 'primary'], n2: ['h2', 'replica'], n4: ['h3', 'replica'] });
const spec = clusterSpec(['h1', 'h2', 'h3'], [main, groupSpec('other', { n3: ['h1', 'primary'] })]);
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof PgorbitError) return error.code;
  }
  return 'none';
};

describe('names', () => {
  it('takes the first name that no group uses', () => {
    expect(nextName(spec)).toBe('n5');
    expect(nextName(spec, ['n5'])).toBe('n6');
    expect(nextName(clusterSpec(['h1'], [groupSpec('main', { n2: ['h1', 'primary'] })]))).toBe('n1');
  });

  it('takes the host with the fewest members, of the group first', () => {
    // One member of main each; h1 has one of the other group too.
    expect(nextHost(spec, main)).toBe('h2');
    expect(nextHost(spec, main, ['h2'])).toBe('h3');
    expect(nextHost(spec, main, ['h2', 'h3'])).toBe('h1');
  });
});

describe('planScale', () => {
  const now = { primary: 'n1', unhealthy: [] };

  it('spreads new replicas over the hosts', () => {
    expect(planScale(spec, main, 5, now)).toEqual({ add: [{ name: 'n5', host: 'h2' }, { name: 'n6', host: 'h3' }, { name: 'n7', host: 'h1' }], remove: [] });
  });

  it('changes nothing when there are as many', () => {
    expect(planScale(spec, main, 2, now)).toEqual({ add: [], remove: [] });
  });

  it('removes the latest first, and whoever is not the primary now', () => {
    expect(planScale(spec, main, 1, now).remove).toEqual(['n4']);
    expect(planScale(spec, main, 0, now).remove).toEqual(['n4', 'n2']);
    // After a failover to n4 the manifest's primary n1 is a replica like another.
    expect(planScale(spec, main, 0, { primary: 'n4', unhealthy: [] }).remove).toEqual(['n2', 'n1']);
  });

  it('removes the unhealthy before the healthy, then from the fullest host', () => {
    expect(planScale(spec, main, 1, { primary: 'n1', unhealthy: ['n2'] }).remove).toEqual(['n2']);
    const full = groupSpec('main', { n1: ['h1', 'primary'], n2: ['h2', 'replica'], n3: ['h2', 'replica'], n4: ['h3', 'replica'] });
    expect(planScale(clusterSpec(['h1', 'h2', 'h3'], [full]), full, 2, now).remove).toEqual(['n3']);
  });
});

describe('choosing', () => {
  const groups = [{ name: 'a', members: [{ name: 'n1' }, { name: 'n2' }] }, { name: 'b', members: [{ name: 'n1' }] }];

  it('finds a member by its name, or by its group too where two have one', () => {
    expect(chooseMember(groups, 'n2').group.name).toBe('a');
    expect(chooseMember(groups, 'b/n1').group.name).toBe('b');
    expect(codeOf(() => chooseMember(groups, 'n1'))).toBe('usage');
    expect(codeOf(() => chooseMember(groups, 'n9'))).toBe('no-such-member');
    expect(codeOf(() => chooseMember(groups, 'b/n2'))).toBe('no-such-member');
  });

  it('takes the only group, and asks where there are several', () => {
    expect(chooseGroup(['main'], undefined)).toBe('main');
    expect(codeOf(() => chooseGroup(['a', 'b'], undefined))).toBe('usage');
    expect(codeOf(() => chooseGroup(['a'], 'b'))).toBe('no-such-group');
  });

  it('takes the only cluster, and lists them where there are several', () => {
    expect(chooseCluster(['shop'], undefined, '/h')).toBe('shop');
    expect(chooseCluster(['a', 'b'], 'b', '/h')).toBe('b');
    expect(codeOf(() => chooseCluster(['a', 'b'], undefined, '/h'))).toBe('usage');
    expect(codeOf(() => chooseCluster(['a'], 'c', '/h'))).toBe('no-such-cluster');
    expect(codeOf(() => chooseCluster([], undefined, '/h'))).toBe('no-such-cluster');
  });
});
