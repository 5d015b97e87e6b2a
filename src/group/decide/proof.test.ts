import { describe, expect, it } from 'vitest';
import { Scene, down, memberRecord } from '../testing/build.ts';

const VOTERS = ['n1', 'n2', 'n3', 'n4', 'n5'];

/** Five voters; n1 has died, and the others are asked to promise term 2. */
function elections(): Scene {
  const scene = new Scene(VOTERS);
  Object.assign(scene.spec, { storage: 'local', volume: null, commit: 'quorum' });
  scene.record!.voters = VOTERS;
  scene.report('n1', down(false));
  scene.decide();
  return scene.report('n1', { goalTerm: 2 });
}
const promise = (scene: Scene, name: string, lsn: string, timeline = 1): Scene => scene.report(name, { goalTerm: 2, promised: { term: 2, timeline, lsn } });
const names = (scene: Scene): (string | undefined)[] => VOTERS.map((name) => {
  const { goal } = scene.member(name);
  return goal.kind === 'follow' ? goal.name : undefined;
});

describe('after an election', () => {
  it('those who promised follow by their term at once, and one who did not without a vote until it is on the new timeline', () => {
    const scene = elections();
    for (const [name, lsn] of [['n3', '0/300'], ['n4', '0/200'], ['n5', '0/100']] as const) promise(scene, name, lsn);
    expect(scene.decide().promotion).toMatchObject({ phase: 'promote', candidate: 'n3' });
    expect(names(scene)).toEqual([undefined, 'n2@0', undefined, 'n4@2', 'n5@2']);
    scene.report('n3', { inRecovery: false, streamingFrom: null, term: 2, goalTerm: 2, timeline: 2, history: [{ timeline: 2, begin: '0/300' }] });
    expect(scene.decide().primary).toBe('n3');
    expect(names(scene), 'one whose data are made anew has nothing else').toEqual(['n1@2', 'n2@0', undefined, 'n4@2', 'n5@2']);
    scene.report('n2', { timeline: 2 }).decide();
    expect(names(scene)).toEqual(['n1@2', 'n2@2', undefined, 'n4@2', 'n5@2']);
  });

  it('one who promised less, but of another timeline than the best, has yet to prove itself', () => {
    const scene = elections();
    promise(scene, 'n3', '0/300', 2);
    promise(promise(scene, 'n4', '0/300', 2), 'n5', '0/100').decide();
    expect(names(scene)).toEqual([undefined, 'n2@0', undefined, 'n4@2', 'n5@0']);
  });
});

describe('after a promotion with all that the old primary had', () => {
  it.each(['shared', 'local'] as const)('those who were proven are, and the others are not: %s storage', (storage) => {
    const scene = new Scene(VOTERS);
    Object.assign(scene.spec, { storage, commit: 'quorum' });
    Object.assign(scene.record!, { voters: VOTERS, operation: { id: 'op', kind: 'switchover', from: 'n1', to: 'n2', step: 'stop' } });
    scene.record!.members['n5'] = memberRecord('n5', { provenIn: 0 });
    scene.report('n5', { ready: false, timeline: null }).report('n1', { ...down(true), reached: 'stop', stoppedAt: { timeline: 1, lsn: '0/100' } });
    expect(scene.decide()).toMatchObject({ term: 2, promotion: { phase: 'promote', candidate: 'n2' } });
    expect(VOTERS.map((name) => scene.member(name).provenIn)).toEqual([2, 2, 2, 2, 0]);
  });
});
