import { describe, expect, it } from 'vitest';
import { down, memberRecord, memberSpec, Scene } from '../testing/build.ts';

/** A standby s1 behind n1 and n2, with `source` as the manifest says. */
function withStandby(source: string | null, joined = true): Scene {
  const scene = new Scene(['n1', 'n2']);
  scene.spec.members['s1'] = memberSpec('s1', { role: 'standby', source });
  scene.record!.members['s1'] = memberRecord('s1', { role: 'standby', joined });
  scene.report('s1', { inRecovery: true, streamingFrom: joined ? 'x:1' : null });
  return scene;
}
const upstreamOf = (scene: Scene): string | null => {
  const { goal } = scene.member('s1');
  return goal.kind === 'follow' ? goal.upstream.member : null;
};

describe("a standby's source", () => {
  it('is the primary where the manifest names none, and keeps a slot there', () => {
    const scene = withStandby(null);
    scene.decide();
    expect(upstreamOf(scene)).toBe('n1');
    expect(scene.member('n1').goal).toMatchObject({ slots: ['pgorbit_n2', 'pgorbit_s1'] });
  });

  it.each(['n2', 'replica'])('is %s at once for one without data, with a slot there alone', (source) => {
    const scene = withStandby(source, false);
    scene.decide();
    expect(upstreamOf(scene)).toBe('n2');
    expect(scene.member('n2').goal).toMatchObject({ kind: 'follow', slots: ['pgorbit_s1'] });
    expect(scene.member('n1').goal).toMatchObject({ slots: ['pgorbit_n2'] });
  });

  it('gives way to the primary while it is away, and is taken again when it has proved itself', () => {
    const scene = withStandby('n2', false);
    scene.decide();
    scene.cascades['s1'] = 'n2';
    scene.report('s1', { streamingFrom: 'x:1' });
    scene.decide();
    scene.report('n2', down(false));
    scene.decide();
    scene.decide(4_000);
    expect(upstreamOf(scene), 'not at the first silence').toBe('n2');
    scene.decide(2_000);
    expect(upstreamOf(scene)).toBe('n1');
    expect(scene.member('n1').goal).toMatchObject({ slots: ['pgorbit_n2', 'pgorbit_s1'] });
    scene.report('n2', { pid: 7, ready: true, inRecovery: true, streamingFrom: 'x:1', state: 'streaming' });
    scene.decide();
    scene.decide(9_000);
    expect(upstreamOf(scene)).toBe('n1');
    scene.decide(2_000);
    expect(upstreamOf(scene)).toBe('n2');
  });

  it('is the primary where it has become that itself', () => {
    const scene = withStandby('n1');
    scene.decide();
    expect(upstreamOf(scene)).toBe('n1');
  });

  /** s1 is at 0/100, and a logger has WAL from `oldest` on. */
  function withLogger(oldest: string | null, joined = true): Scene {
    const scene = withStandby('logger', joined);
    scene.spec.members['l1'] = memberSpec('l1', { role: 'logger' });
    scene.record!.members['l1'] = memberRecord('l1', { role: 'logger' });
    scene.report('l1', { inRecovery: null, streamingFrom: 'x:1', oldest });
    return scene;
  }

  it('that is a logger needs somebody else whose data are copied, a replica; and the primary for the WAL of that time', () => {
    const scene = withLogger('0/100', false);
    scene.report('s1', { ...down(false), timeline: null, lsn: null, received: null });
    scene.decide();
    expect(scene.member('s1').goal).toMatchObject({ upstream: { member: 'n1' }, base: { member: 'n2' } });
    expect(scene.member('s1').goal).not.toHaveProperty('makesSlot');
    expect(scene.member('n1').goal).toMatchObject({ slots: ['pgorbit_l1', 'pgorbit_n2', 'pgorbit_s1'] });
    scene.report('s1', { pid: 7, ready: true, inRecovery: true, streamingFrom: 'x:1', timeline: 1, lsn: '0/100', received: '0/100' });
    scene.decide();
    scene.decide(11_000);
    expect(scene.member('s1').goal).toMatchObject({ upstream: { member: 'l1' }, base: { member: 'n2' }, makesSlot: true });
    expect(scene.member('n1').goal).toMatchObject({ slots: ['pgorbit_l1', 'pgorbit_n2'] });
  });

  it.each([['0/101', 'begins after what the standby has'], [null, 'has no WAL']])('is not a logger whose WAL begins at %s: it %s', (oldest, _why) => {
    const scene = withLogger(oldest);
    scene.decide();
    scene.decide(60_000);
    expect(upstreamOf(scene)).toBe('n1');
  });

  it('that is a logger is kept while the standby is started again, and left once it has purged what that one lacks', () => {
    const scene = withLogger('0/80');
    scene.decide();
    scene.decide(11_000);
    expect(upstreamOf(scene)).toBe('l1');
    scene.cascades['s1'] = 'l1';
    scene.report('s1', { ...down(false), timeline: null, lsn: null, received: null });
    scene.decide();
    scene.decide(20_000);
    expect(upstreamOf(scene)).toBe('l1');
    scene.report('s1', { pid: 7, ready: true, inRecovery: true, streamingFrom: null, timeline: 1, lsn: '0/100', received: '0/100' });
    scene.report('l1', { oldest: '0/200' });
    scene.decide();
    scene.decide(6_000);
    expect(upstreamOf(scene)).toBe('n1');
  });

  it('is never one that follows it', () => {
    const scene = withStandby('s2', false);
    scene.spec.members['s2'] = memberSpec('s2', { role: 'standby', source: 's1' });
    scene.record!.members['s2'] = memberRecord('s2', { role: 'standby' });
    scene.report('s2', { inRecovery: true, streamingFrom: 'x:1' });
    scene.decide();
    const goals = ['s1', 's2'].map((name) => scene.member(name).goal);
    expect(goals.some((goal) => goal.kind === 'follow' && goal.upstream.member === 'n1')).toBe(true);
  });

  it('has nothing to do with a fresh copy that a person asks for, in whatever state it is', () => {
    const scene = withStandby(null);
    scene.report('s1', { ...down(false), state: 'failed' });
    scene.ask({ kind: 'reclone', group: 'main', members: ['s1'], drainMs: 0 });
    expect(scene.decide().members['s1']).toMatchObject({ incarnation: 2, joined: false });
    scene.report('s1', { state: 'attaching' });
    expect(scene.decide(600_000).operation, 'a copy takes its time').toMatchObject({ kind: 'reclone', current: 's1' });
    const all = withStandby(null);
    all.ask({ kind: 'reclone', group: 'main', members: null, drainMs: 0 });
    expect(all.record!.operation).toMatchObject({ left: ['n2'] });
  });

  it('is what it has to stream from: one that the primary does not see is not rebuilt for that', () => {
    const scene = withStandby('n2', false);
    scene.decide();
    scene.cascades['s1'] = 'n2';
    scene.report('s1', { streamingFrom: 'x:1' });
    scene.decide();
    expect(scene.decide(60_000).members['s1']).toMatchObject({ incarnation: 1 });
  });
});
