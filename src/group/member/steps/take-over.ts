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
import { PgorbitError } from '../../../errors.ts';
import { sleep } from '../../../lifecycle.ts';
import { setFenced } from '../../../volume/fencemark.ts';
import { judgeLock, surroundings } from '../../../volume/lock-owner.ts';
import { readLock } from '../../../volume/lock.ts';
import { readMarker } from '../../../volume/marker.ts';
import { formatLsn, parseLsn, type Lsn } from '../../../wal/lsn.ts';
import { findWalEnd } from '../../../wal/scan.ts';
import type { Goal } from '../../model.ts';
import type { Member } from '../member.ts';
import { closeRestore, openRestore } from '../restore.ts';
import { promote } from './promote.ts';
import { reserveTimelines } from './reserve-timelines.ts';
import { beginOf, timelinesOf } from './wal-end.ts';

/** Replay that stands still for this long while WAL is missing has failed. */
const STALLED_MS = 10_000;
const POLL_MS = 10;

export async function takeOver(member: Member, goal: Extract<Goal, { kind: 'promote' }>, term: number, signal: AbortSignal): Promise<void> {
  const { dirOf } = member.place;
  const story: string[] = [];
  const dirs = dirOf === null ? [] : goal.predecessors.map(({ member: name }) => ({ name, dir: dirOf(name) }));
  // All of them are down before the first one's WAL is read.
  for (const { name, dir } of dirs) {
    const started = performance.now();
    member.nowDoing(`fencing ${name}`);
    const how = await fencePredecessor(member, dir, name, term);
    story.push(`fenced ${name} (${how}) in ${ms(performance.now() - started)}`);
  }
  for (const { name, dir } of dirs) {
    const started = performance.now();
    member.nowDoing('replaying');
    const end = await replayAll(member, join(dir, 'data'), signal);
    story.push(end === null ? `had all of ${name}'s WAL` : `replayed ${name}'s WAL to ${formatLsn(end)} in ${ms(performance.now() - started)}`);
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
async function fencePredecessor(member: Member, dir: string, name: string, term: number): Promise<string> {
  const marker = await readMarker(dir);
  if (marker === null || marker.clusterId !== member.place.clusterId || marker.member !== name) {
    throw new PgorbitError('fence-failed', `the data of the old primary are not at ${dir}: what it acknowledged can't be taken over`, {
      hint: 'check that the volume is mounted; to start from a replica without it, restore the folder or drop the member',
    });
  }
  await setFenced(dir, term);
  const cgroup = await findCgroup(member.place.cgroupOf(name));
  const result = await fence(join(dir, 'data'), cgroup);
  // Without its cgroup a start that was already under way fails instead of slipping through behind the fence.
  await cgroup?.remove();
  await refuseLiving(dir, name);
  return result.how === 'nothing-ran' ? 'it was down' : `${result.killed} ${result.killed === 1 ? 'process' : 'processes'} killed`;
}

/** What runs on another machine cannot be fenced from here: its lock says so. */
async function refuseLiving(dir: string, name: string): Promise<void> {
  const owner = await readLock(dir);
  if (owner === null || judgeLock(owner, await surroundings(dir)) === 'stale') return;
  throw new PgorbitError('fence-failed', `${name} may still run on ${owner.machine} (process ${owner.process.pid}), where it can't be fenced from here`, {
    hint: 'stop it there first; then run the promotion again',
  });
}

/**
 * Replays the predecessor's WAL up to its last valid record.
 * @returns that position, or null where this member is on a later timeline: whoever began that one had replayed all this.
 */
async function replayAll(member: Member, dataDir: string, signal: AbortSignal): Promise<Lsn | null> {
  const control = await readControlFile(dataDir);
  const own = (await member.facts()).systemIdentifier;
  if (own !== null && control.systemIdentifier !== own) {
    throw new PgorbitError('unsafe', `${dataDir} belongs to the database system ${control.systemIdentifier}, this member to ${own}`);
  }
  await member.letReplayRun();
  const walDir = join(dataDir, 'pg_wal');
  const timeline = await newestTimeline(walDir, control.walSegmentSize);
  if ((await newestTimeline(join(member.place.dataDir, 'pg_wal'), control.walSegmentSize)) > timeline) return null;
  const found = await findWalEnd({
    walDir, timeline, signal,
    from: await startOfScan(walDir, timeline, await replayed(member)),
    segmentSize: control.walSegmentSize,
    systemIdentifier: BigInt(control.systemIdentifier),
  });
  if (found.laterSegment !== null) {
    member.tell({ level: 'error', kind: 'wal-gap', message: `WAL ends at ${formatLsn(found.end)}, but ${found.laterSegment} behind it is in use too: WAL before it was damaged or never flushed` });
  }
  if ((await replayed(member)) < found.end) {
    await openRestore(member.place.homeDir, await reach(walDir, member.environment.user));
    await replayTo(member, found.end, signal);
  }
  return found.end;
}

/** The position to look onward from: what is replayed here, or where the predecessor's own timeline begins, if later. */
async function startOfScan(walDir: string, timeline: number, own: Lsn): Promise<Lsn> {
  const begin = await beginOf(walDir, timeline);
  return own > begin ? own : begin;
}

const newestTimeline = async (walDir: string, segmentSize: number): Promise<number> => (await timelinesOf(walDir, segmentSize))[0] ?? 0;

async function replayed(member: Member): Promise<Lsn> {
  const rows = await member.sql().query<{ lsn: string | null }>('select pg_last_wal_replay_lsn()::text as lsn');
  const lsn = rows[0]?.lsn;
  if (!lsn) throw new PgorbitError('postgres-failed', `${member.place.member} does not say how far it has replayed`);
  return parseLsn(lsn);
}

async function replayTo(member: Member, end: Lsn, signal: AbortSignal): Promise<void> {
  let last = await replayed(member);
  let movedAt = performance.now();
  while (last < end) {
    signal.throwIfAborted();
    await sleep(POLL_MS, signal);
    const now = await replayed(member);
    if (now > last) movedAt = performance.now();
    else if (performance.now() - movedAt > STALLED_MS) {
      throw new PgorbitError('postgres-failed', `${member.place.member} has replayed to ${formatLsn(now)} and does not get on; acknowledged commits reach to ${formatLsn(end)}`, {
        hint: `pgorbit logs ${member.place.member}`,
      });
    }
    last = now;
  }
}

const ms = (duration: number): string => `${Math.round(duration)} ms`;
