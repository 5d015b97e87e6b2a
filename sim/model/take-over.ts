/** Shared storage: fence the predecessors, replay what they acknowledged to the last record, promote. */
import type { Goal } from '../../src/group/model.ts';
import { sleep, type SimSignal, type Work } from '../kernel/process.ts';
import { StepError } from '../kernel/violation.ts';
import type { Data } from '../world/disks.ts';
import type { ModelMember } from './member.ts';
import { promoteServer } from './promote.ts';
import { admits, beginOf, timelineOf } from './wal.ts';

const STALLED_MS = 10_000;

export function* takeOver(member: ModelMember, goal: Extract<Goal, { kind: 'promote' }>, term: number, signal: SimSignal): Work {
  const { world } = member;
  for (const { member: name } of goal.predecessors) {
    member.nowDoing(`fencing ${name}`);
    yield* fence(member, name, term);
  }
  for (const { member: name } of goal.predecessors) {
    member.nowDoing('replaying');
    if (world.rules.replay) yield* replayAll(member, name, signal);
  }
  member.nowDoing('promoting');
  if (signal.aborted) throw new StepError('aborted', 'the take-over was broken off');
  yield* member.pause();
  member.markTerm(term);
  yield* promoteServer(member, signal);
  yield* member.pause();
  member.home.restoreFrom = null;
}

/** The mark, the kill, the cgroup's end. */
function* fence(member: ModelMember, name: string, term: number): Work {
  const { world } = member;
  yield* member.pause();
  const folder = world.disks.folders.get(name);
  if (folder === undefined || folder.marker.member !== name) throw new StepError('fence-failed', `the data of ${name} are not there`);
  if (!world.rules.fence) return;
  folder.fenced = Math.max(folder.fenced ?? 0, term);
  yield* member.pause(10);
  world.disks.serverIn(folder)?.kill();
  yield* member.pause(10);
  // A server that slipped in outside the cgroup is found by its working directory.
  world.disks.serverIn(folder)?.kill();
  if (world.rules.cgroup) world.disks.cgroups.delete(name);
  world.trace(() => `${member.name} has fenced ${name} in term ${term}`);
}

function* replayAll(member: ModelMember, name: string, signal: SimSignal): Work {
  const { world } = member;
  const source = (): Data => {
    const data = world.disks.folders.get(name)?.data;
    if (!data) throw new StepError('internal', `${name} has no WAL to read`);
    return data;
  };
  source();
  yield* member.pause();
  member.reload();
  member.sql().pausedUntil = 0;
  yield* member.pause(100);
  const { wal } = source();
  if (timelineOf(member.data().wal) > timelineOf(wal)) return;
  const from = Math.max(member.sql().replayed, beginOf(wal, timelineOf(wal)));
  const end = from > wal.length ? from : wal.length;
  yield* member.pause();
  if (member.sql().replayed >= end) return;
  member.home.restoreFrom = name;
  let last = member.sql().replayed;
  let moved = world.clock.now;
  while (last < end) {
    if (signal.aborted) throw new StepError('aborted', 'the take-over was broken off');
    yield* sleep(20, signal);
    const now = member.sql().replayed;
    if (now > last) moved = world.clock.now;
    else if (world.clock.now - moved > STALLED_MS) {
      throw new StepError('postgres-failed', `${member.name} has replayed to ${now} of ${end} and does not get on (${admits(member.data().wal, wal)})`);
    }
    last = now;
  }
}
