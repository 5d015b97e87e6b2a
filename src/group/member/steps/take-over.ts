/**
 * Becoming the primary. On a shared volume: the predecessor is fenced and seen to be gone, its WAL is read to the
 * last valid record, and only when that very position is replayed does this member accept writes. Nothing that was
 * acknowledged can be lost, and no two can write. Each step may be repeated after a crash.
 */
import { join } from 'node:path';
import { findCgroup } from '../../../engine/cgroup.ts';
import { readControlFile } from '../../../engine/control.ts';
import { fence } from '../../../engine/fence.ts';
import { reach } from '../../../engine/reach.ts';
import { PgorbitError, toReport } from '../../../errors.ts';
import { setFenced } from '../../../volume/fencemark.ts';
import { judgeLock, surroundings } from '../../../volume/lock-owner.ts';
import { readLock } from '../../../volume/lock.ts';
import { readMarker } from '../../../volume/marker.ts';
import { formatLsn } from '../../../wal/lsn.ts';
import type { Goal } from '../../model.ts';
import type { Member } from '../member.ts';
import { closeRestore, openRestore } from '../restore.ts';
import { readLeftWal, type LeftWal, type Successor } from './predecessor-wal.ts';
import { promote } from './promote.ts';
import { replayed, replayTo } from './replay.ts';
import { reserveTimelines } from './reserve-timelines.ts';
import { timelinesOf } from './wal-end.ts';

type Promote = Extract<Goal, { kind: 'promote' }>;

export async function takeOver(member: Member, goal: Promote, term: number, signal: AbortSignal): Promise<void> {
  const { dirOf } = member.place;
  const story: string[] = [];
  const dirs = dirOf === null ? [] : goal.predecessors.map(({ member: name }) => ({ name, dir: dirOf(name) }));
  // All of them are down before the first one's WAL is read.
  for (const { name, dir } of dirs) {
    const started = performance.now();
    member.nowDoing(`fencing ${name}`);
    const how = await fencePredecessor(member, dir, name, term, goal.acceptLoss);
    story.push(`fenced ${name} (${how}) in ${ms(performance.now() - started)}`);
  }
  for (const { name, dir } of dirs) {
    member.nowDoing('replaying');
    story.push(await replayAll(member, name, join(dir, 'data'), goal.acceptLoss, signal));
  }
  const promoting = performance.now();
  member.nowDoing('promoting');
  // The last moment to heed an order that superseded this one.
  signal.throwIfAborted();
  if (member.environment.superseded()) throw new PgorbitError('unsafe', `${member.place.member} is not promoted: the other site is the primary one now`);
  await reserveTimelines(member, goal.timeline);
  // First the mark: whoever finds it on data that accept writes knows that everything was replayed before.
  await member.markTerm(term);
  await promote(member, signal);
  await closeRestore(member.place.homeDir);
  member.tell({ level: 'info', kind: 'took-over', message: `${member.place.member} took over: ${story.join(', ') || 'nobody to take over from'}, promoted in ${ms(performance.now() - promoting)}` });
}

/**
 * The mark first, so that nobody starts it again; then the kill; then the proof. @returns how it was done, in words.
 */
async function fencePredecessor(member: Member, dir: string, name: string, term: number, acceptLoss: boolean): Promise<string> {
  const marker = await readMarker(dir);
  const gone = marker === null && acceptLoss;
  if (!gone && (marker === null || marker.clusterId !== member.place.clusterId || marker.member !== name)) {
    throw new PgorbitError('fence-failed', `the data of ${name} are not at ${dir}: what it acknowledged can't be read. Mount the volume or restore that folder, or go on without it: ${anyway(member)}`);
  }
  // A folder that is gone can't be marked, and nobody can start there.
  if (!gone) await setFenced(dir, term);
  const cgroup = await findCgroup(member.place.cgroupOf(name));
  const result = await fence(join(dir, 'data'), cgroup);
  // Without its cgroup a start that was already under way fails instead of slipping through behind the fence.
  await cgroup?.remove();
  if (!gone) await refuseLiving(dir, name);
  return result.how === 'nothing-ran' ? 'it was down' : `${result.killed} ${result.killed === 1 ? 'process' : 'processes'} killed`;
}

const anyway = (member: Member): string => `pgorbit promote ${member.place.member} --force --accept-loss`;

/** What runs on another machine cannot be fenced from here: its lock says so. */
async function refuseLiving(dir: string, name: string): Promise<void> {
  const owner = await readLock(dir);
  if (owner === null || judgeLock(owner, await surroundings(dir)) === 'stale') return;
  throw new PgorbitError('fence-failed', `${name} may still run on ${owner.machine} (process ${owner.process.pid}), where it can't be fenced from here`, {
    hint: 'stop it there first; then run the promotion again',
  });
}

/**
 * Replays the predecessor's WAL up to its last valid record. Where that can't be all, or nothing can be read, it throws
 * `wal-invalid`, unless a person has accepted the loss: then it is told.
 * @returns how it went, in words.
 */
async function replayAll(member: Member, name: string, dataDir: string, acceptLoss: boolean, signal: AbortSignal): Promise<string> {
  const started = performance.now();
  await member.letReplayRun();
  const successor = await asSuccessor(member);
  const left = await readLeftWal(dataDir, successor, signal).catch((error: unknown): LeftWal => {
    if (signal.aborted) throw error;
    return { end: null, doubt: toReport(error).message };
  });
  if (left.doubt !== null && !acceptLoss) {
    throw new PgorbitError('wal-invalid', `${left.doubt} What ${name} acknowledged can't be read: restore that folder, or go on without it: ${anyway(member)}`);
  }
  if (left.doubt !== null) member.tell({ level: 'error', kind: 'loss-accepted', message: `${left.doubt} What ${name} acknowledged there is given up, as was asked for` });
  const { end } = left;
  if (end === null) return left.doubt === null ? `had all of ${name}'s WAL` : `gave up ${name}'s WAL`;
  if (end.laterSegment !== null) {
    member.tell({ level: 'error', kind: 'wal-gap', message: `WAL ends at ${formatLsn(end.end)}, but ${end.laterSegment} behind it is in use too: WAL before it was damaged or never flushed` });
  }
  if ((await replayed(member)) < end.end) {
    await openRestore(member.place.homeDir, await reach(join(dataDir, 'pg_wal'), member.environment.user));
    await replayTo(member, end.end, signal);
  }
  return `replayed ${name}'s WAL to ${formatLsn(end.end)} in ${ms(performance.now() - started)}`;
}

async function asSuccessor(member: Member): Promise<Successor> {
  // Looks anew: the timelines that are reserved later go on from the one that is observed here.
  const { systemIdentifier } = await member.facts();
  const { walSegmentSize } = await readControlFile(member.place.dataDir);
  const [timeline = 1] = await timelinesOf(join(member.place.dataDir, 'pg_wal'), walSegmentSize);
  return { systemIdentifier, replayed: await replayed(member), timeline };
}

const ms = (duration: number): string => `${Math.round(duration)} ms`;
