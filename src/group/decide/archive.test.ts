import { describe, expect, it } from 'vitest';
import type { ArchiveRecord, ArchiveReport, ArchiveSettings } from '../model.ts';
import { memberRecord, memberSpec, reportOn, Scene } from '../testing/build.ts';
import { HOST_LOST_MS, UNUSABLE_MS } from './archive.ts';
import { ARCHIVE_SLOT } from './goals.ts';

const settings = (patch: Partial<ArchiveSettings> = {}): ArchiveSettings => ({ to: '/srv/wal', source: null, flushMs: 1000, hosts: null, ...patch });

/** n1 is the primary on h1, n2 a replica on h2, n3 a logger on h3. */
function scene(patch: Partial<ArchiveSettings> = {}): Scene {
  const s = new Scene();
  const roles = { n1: 'primary', n2: 'replica', n3: 'logger' } as const;
  for (const [i, name] of (['n1', 'n2', 'n3'] as const).entries()) {
    const host = `h${i + 1}`;
    s.spec.members[name] = memberSpec(name, { host, role: roles[name] });
    s.record!.members[name] = memberRecord(name, { host, role: roles[name] === 'primary' ? 'replica' : roles[name] });
    s.report(name, { host });
  }
  s.decide();
  s.spec.archive = settings(patch);
  return s;
}

const archiveOf = (s: Scene, afterMs = 0): ArchiveRecord => s.decide(afterMs).archive!;
const said = (patch: Partial<ArchiveReport> = {}): ArchiveReport => ({
  group: 'main', host: 'h2', epoch: 1, pid: 9, state: 'streaming', source: 'n3', timeline: 1, lsn: '0/100', segment: null, behindMs: 0, error: null, gap: null, ...patch,
});
const names = ({ sources }: ArchiveRecord): string[] => sources.map(({ member }) => member);
/** Nothing is heard for `ms`, in steps in which the others go on reporting. */
function pass(s: Scene, ms: number): ArchiveRecord {
  for (let left = ms; left > 0; left -= 1000) s.decide(Math.min(1000, left));
  return s.record!.archive!;
}

describe('who archives', () => {
  it('is nobody where the manifest does not ask for it', () => {
    expect(new Scene().decide().archive).toBeUndefined();
  });

  it('is a host that is not the primary\'s, from a logger where there is one', () => {
    const s = scene();
    expect(archiveOf(s)).toMatchObject({ epoch: 1, host: 'h2', to: '/srv/wal', begun: false });
    expect(names(archiveOf(s))).toEqual(['n3', 'n1', 'n2']);
    expect(s.decide().archive).toEqual(archiveOf(s, 60_000));
  });

  it('is one of the hosts that are named', () => {
    const s = scene({ hosts: ['h1'] });
    expect(archiveOf(s)).toMatchObject({ epoch: 1, host: 'h1' });
    s.spec.archive = settings({ hosts: ['h2', 'h3'] });
    expect(archiveOf(s)).toMatchObject({ epoch: 2, host: 'h2' });
  });

  it('waits at the birth of a group for those who have yet to join, but not for ever', () => {
    const s = scene();
    s.record!.members['n2']!.joined = false;
    s.report('n2', { streamingFrom: null, ready: false });
    expect(s.decide().archive).toBeUndefined();
    expect(pass(s, 11_000)).toMatchObject({ epoch: 1, host: 'h2' });
  });

  it('stays when the agent is silent for a moment, and when the primary changes', () => {
    const s = scene();
    archiveOf(s);
    s.archive = said();
    s.quiet('n2');
    expect(pass(s, HOST_LOST_MS - 1000)).toMatchObject({ epoch: 1, host: 'h2', begun: true });
  });

  it('is another host with a higher number when the agent is silent for long', () => {
    const s = scene();
    archiveOf(s);
    s.quiet('n2');
    s.archive = said();
    s.decide();
    s.archive = null;
    expect(pass(s, HOST_LOST_MS)).toMatchObject({ epoch: 2, host: 'h3', begun: true });
    // The first one does not take it back.
    s.report('n2', {});
    expect(pass(s, 30_000)).toMatchObject({ epoch: 2, host: 'h3' });
  });

  it('stays where it is when there is nobody else', () => {
    const s = scene({ hosts: ['h2'] });
    archiveOf(s);
    s.quiet('n2');
    expect(pass(s, 60_000)).toMatchObject({ epoch: 1, host: 'h2' });
  });

  it('is another host where the repository can be used, and longer and longer the same where it can nowhere', () => {
    const s = scene();
    archiveOf(s);
    const error = { code: 'no-such-backup', message: 'it is not mounted' } as const;
    s.archive = said({ state: 'waiting', lsn: null, error });
    expect(pass(s, UNUSABLE_MS - 1000)).toMatchObject({ host: 'h2' });
    expect(pass(s, 2000)).toMatchObject({ epoch: 2, host: 'h3', attempts: 1 });
    s.archive = said({ host: 'h3', epoch: 2, state: 'waiting', lsn: null, error });
    expect(pass(s, UNUSABLE_MS + 2000)).toMatchObject({ host: 'h3' });
    expect(pass(s, UNUSABLE_MS)).toMatchObject({ epoch: 3, host: 'h1', attempts: 2 });
    s.archive = said({ host: 'h1', epoch: 3 });
    expect(pass(s, 2000)).toMatchObject({ host: 'h1', attempts: 0, begun: true });
  });

  it('stays on a full disk: it is as full from elsewhere', () => {
    const s = scene();
    archiveOf(s);
    s.archive = said({ state: 'waiting', error: { code: 'volume-full', message: 'no room' } });
    expect(pass(s, 60_000)).toMatchObject({ epoch: 1, host: 'h2' });
  });

  it('begins anew in another repository, and ends with the key; the number never falls', () => {
    const s = scene();
    archiveOf(s);
    s.archive = said();
    expect(archiveOf(s)).toMatchObject({ begun: true });
    s.spec.archive = settings({ to: '/srv/other' });
    expect(archiveOf(s)).toMatchObject({ epoch: 2, to: '/srv/other', begun: false });
    s.spec.archive = null;
    expect(archiveOf(s)).toMatchObject({ epoch: 2, host: null });
    expect(s.events).toEqual(['archive-off']);
    s.spec.archive = settings();
    expect(archiveOf(s)).toMatchObject({ epoch: 3, host: 'h2', begun: false });
  });
});

describe('whose WAL', () => {
  it('is the primary\'s while the logger is lost, and the logger\'s again once that has proved itself', () => {
    const s = scene();
    archiveOf(s);
    s.quiet('n3');
    pass(s, 3000);
    expect(names(pass(s, 2000))[0]).toBe('n3');
    expect(names(pass(s, 6000))).toEqual(['n1', 'n2', 'n3']);
    s.report('n3', reportOn('n3', { host: 'h3' }));
    expect(names(pass(s, 5000))[0]).toBe('n1');
    expect(names(pass(s, 7000))[0]).toBe('n3');
  });

  it('is not that of a logger which begins behind what is archived', () => {
    const s = scene();
    s.archive = said({ lsn: '0/100' });
    archiveOf(s);
    s.report('n3', { oldest: '0/200' });
    expect(names(pass(s, 7000))[0]).toBe('n1');
  });

  it('is a replica\'s where that is asked for', () => {
    expect(names(archiveOf(scene({ source: 'replica' })))).toEqual(['n2', 'n1', 'n3']);
  });

  it('is held by everybody who may be promoted, and by nobody when it ends', () => {
    const s = scene();
    const { members } = s.decide();
    const slots = (goal: object): string[] => ('slots' in goal ? (goal.slots as string[]) : []);
    expect(slots(members['n1']!.goal)).toContain(ARCHIVE_SLOT);
    expect(slots(members['n2']!.goal)).toEqual([ARCHIVE_SLOT]);
    expect(slots(members['n3']!.goal)).toEqual([]);
    s.spec.archive = null;
    expect(JSON.stringify(s.decide())).not.toContain(ARCHIVE_SLOT);
  });
});
