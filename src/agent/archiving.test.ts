import { describe, expect, it } from 'vitest';
import { archiverFile, archiverStep, reportOf, s3Environment, Story, type ReportInput } from './archiving.ts';
import type { ArchiverFile, ArchiverStatus } from '../backup/archive/files.ts';
import { ARCHIVE_SLOT } from '../group/decide/goals.ts';
import type { ArchiveReport } from '../group/model.ts';
import { memberRecord, Scene } from '../group/testing/build.ts';

const account = { user: 'r', password: 'p' };

function file(patch: Partial<ArchiverFile> = {}): ArchiverFile {
  const scene = new Scene();
  scene.spec.archive = { to: '/srv/wal', source: null, flushMs: 2_000, hosts: null };
  scene.record!.members['n3'] = memberRecord('n3', { role: 'logger' });
  const record = scene.decide();
  return { ...archiverFile({ cluster: 'shop', clusterId: 'id', host: 'h1', record, spec: scene.spec, account })!, ...patch };
}

describe('what an archiver is to do', () => {
  it('is in its file: where to, from whom, with a slot on those that are PostgreSQL', () => {
    expect(file()).toMatchObject({
      cluster: 'shop', clusterId: 'id', group: 'main', epoch: 1, to: '/srv/wal', make: true, flushMs: 2_000, account,
      sources: [{ member: 'n1', slot: ARCHIVE_SLOT }, { member: 'n2', slot: ARCHIVE_SLOT }, { member: 'n3', slot: null }],
    });
  });

  it('is nothing on another host, or for a group that is gone', () => {
    const scene = new Scene();
    scene.spec.archive = { to: '/srv/wal', source: null, flushMs: 2_000, hosts: null };
    expect(archiverFile({ cluster: 'shop', clusterId: 'id', host: 'h2', record: scene.decide(), spec: scene.spec, account })).toBe(null);
    expect(archiverFile({ cluster: 'shop', clusterId: 'id', host: 'h1', record: undefined, spec: undefined, account })).toBe(null);
  });

  it('takes another process for another repository or number, and none for the rest', () => {
    expect(archiverStep(file(), null, false)).toBe('start');
    expect(archiverStep(file(), file(), true)).toBe(null);
    expect(archiverStep(file({ flushMs: 1, make: false }), file(), true)).toBe('write');
    expect(archiverStep(file({ epoch: 2 }), file(), true)).toBe('stop');
    expect(archiverStep(file({ to: '/srv/other' }), file(), true)).toBe('stop');
    expect(archiverStep(file(), null, true)).toBe('stop');
    expect(archiverStep(null, file(), true)).toBe('stop');
    expect(archiverStep(null, file(), false)).toBe('forget');
  });
});

describe('the environment of an archiver', () => {
  it('has what leads to an S3 store, and nothing else', () => {
    expect(s3Environment({ PATH: '/bin', AWS_REGION: 'x', PGORBIT_S3_ENDPOINT: 'y', PGORBIT_HOME: '/h' }, '/h/s3.yaml')).toEqual({ AWS_REGION: 'x', PGORBIT_S3_ENDPOINT: 'y', PGORBIT_S3_CONFIG: '/h/s3.yaml' });
    expect(s3Environment({ PGORBIT_S3_CONFIG: '/own' }, '/h/s3.yaml')).toEqual({ PGORBIT_S3_CONFIG: '/own' });
    expect(s3Environment({}, undefined)).toEqual({});
  });
});

const status = (patch: Partial<ArchiverStatus> = {}): ArchiverStatus => ({
  pid: 7, epoch: 1, at: 10_000, state: 'streaming', source: 'n3', timeline: 1, lsn: '0/100', segment: 'S', currentAt: 9_000, error: null, gap: null, ...patch,
});
const report = (patch: Partial<ReportInput> = {}): ArchiveReport => reportOf({ group: 'main', host: 'h1', epoch: 1, pid: 7, status: status(), error: null, now: 10_400, ...patch });

describe('what is said of an archiver', () => {
  it('is how far it is, and how old what it lacks', () => {
    expect(report()).toMatchObject({ state: 'streaming', epoch: 1, lsn: '0/100', behindMs: 1_000, error: null });
    expect(report({ status: status({ state: 'waiting' }) })).toMatchObject({ state: 'waiting', behindMs: 1_400 });
    expect(report({ status: status({ currentAt: null }) })).toMatchObject({ behindMs: null });
  });

  it('is that it does not run, with how far it was', () => {
    expect(report({ pid: null, now: 20_000, error: { code: 'permission', message: 'no' } })).toMatchObject({ state: 'stopped', lsn: '0/100', behindMs: 11_000, error: { message: 'no' } });
    expect(report({ pid: 8 })).toMatchObject({ state: 'starting' });
    // What was archived elsewhere before says nothing of this repository.
    expect(report({ epoch: 2, pid: 8 })).toMatchObject({ state: 'starting', epoch: 2, lsn: null, behindMs: null });
  });

  it('is that it hangs', () => {
    expect(report({ now: 30_000 })).toMatchObject({ state: 'waiting', error: { message: 'the archiver (process 7) has said nothing for 20 s' } });
  });
});

describe('the story of an archiver', () => {
  const error = { code: 'volume-full', message: 'no room' } as const;

  it('tells each stream once, trouble when it lasts, and its end', () => {
    const story = new Story();
    const kinds = (one: ArchiveReport, now: number): string[] => story.next(one, '/srv/wal', now).map(({ kind }) => kind);
    expect(kinds(report(), 0)).toEqual(['archive-streaming']);
    expect(kinds(report(), 1_000)).toEqual([]);
    const waiting = report({ status: status({ state: 'waiting', error }) });
    expect(kinds(waiting, 2_000)).toEqual([]);
    expect(kinds(waiting, 7_000)).toEqual(['archive-error']);
    expect(kinds(waiting, 60_000)).toEqual([]);
    expect(kinds(report(), 61_000)).toEqual(['archive-streaming']);
    expect(kinds(waiting, 62_000)).toEqual([]);
    expect(kinds(report(), 63_000)).toEqual([]);
    expect(kinds(report({ status: status({ timeline: 2 }) }), 64_000)).toEqual(['archive-streaming']);
  });

  it('tells of a gap once', () => {
    const story = new Story();
    const gap = { timeline: 1, from: '0/100', to: '0/300' };
    const events = story.next(report({ status: status({ gap }) }), '/srv/wal', 0);
    expect(events).toContainEqual({ level: 'error', kind: 'archive-gap', message: expect.stringContaining('from 0/100 (timeline 1) to 0/300') });
    expect(story.next(report({ status: status({ gap }) }), '/srv/wal', 1)).toEqual([]);
  });
});
