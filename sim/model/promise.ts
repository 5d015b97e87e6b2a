/** Local storage: promising a term, and becoming the primary when enough have. As steps/promise.ts and take-over-elected.ts do it. */
import { covers, lsnNumber } from '../../src/group/decide/context.ts';
import type { CatchUp, Goal, WalPosition } from '../../src/group/model.ts';
import { sleep, type SimSignal, type Work } from '../kernel/process.ts';
import { StepError } from '../kernel/violation.ts';
import type { Promised } from '../world/disks.ts';
import type { ModelMember } from './member.ts';
import { promoteServer } from './promote.ts';
import { syncSlots } from './steps.ts';
import { positionOnDisk } from './wal.ts';

const POLL_MS = 5;
const CUT_MS = 10_000;
const LOOKS = 2;
const STALLED_MS = 10_000;

export function* promise(member: ModelMember, term: number, signal: SimSignal): Work {
  const { rules } = member.world;
  const early = rules.promiseFirst ? null : positionOnDisk(member.folder?.data?.wal ?? []);
  yield* member.pause();
  if (rules.promiseFirst) save(member, { term, position: null });
  const { folder } = member;
  if (folder?.data == null || folder.marker.incarnation === 0) {
    save(member, { term, position: { timeline: 0, lsn: '0/0' } });
    return;
  }
  yield* member.pause();
  if (member.postmaster === null) member.writeConfiguration();
  else yield* cutUpstream(member, member.orders.goal, signal);
  yield* member.pause(30);
  save(member, { term, position: early ?? positionOnDisk(member.folder?.data?.wal ?? []) });
}

function save(member: ModelMember, promised: Promised): void {
  member.world.disks.promise(member.name, member.agent.host, promised, member.world.rules.promiseDurable);
}

/** Sees to it that the standby receives nothing any more, and acknowledges nothing. */
function* cutUpstream(member: ModelMember, goal: Goal, signal: SimSignal): Work {
  const deadline = member.world.clock.now + CUT_MS;
  member.reload(goal);
  for (let quiet = 0; quiet < LOOKS;) {
    if (signal.aborted) throw new StepError('aborted', 'the promise was broken off');
    yield* member.pause();
    const server = member.sql();
    const known = server.conf.upstream === null;
    if (known && (server.receiver === null || !member.world.rules.promiseCuts)) quiet += 1;
    else quiet = 0;
    if (known && member.world.rules.promiseCuts) server.endReceiver();
    if (member.world.clock.now > deadline) throw new StepError('timed-out', `${member.name} does not let go of its upstream`);
    yield* sleep(POLL_MS, signal);
  }
}

export function* takeOverElected(member: ModelMember, goal: Extract<Goal, { kind: 'promote' }>, term: number, signal: SimSignal): Work {
  const { rules } = member.world;
  if (goal.catchUp !== null && rules.catchUp) {
    member.nowDoing('catching up');
    yield* catchUp(member, goal.catchUp, term, signal);
  }
  member.nowDoing('promoting');
  if (goal.atLeast === null || member.sql().conf.synchronousNames !== goal.synchronousNames) yield* cutUpstream(member, goal, signal);
  if (goal.atLeast !== null && rules.wholeWal) mustHave(member, goal.atLeast);
  member.sql().pausedUntil = 0;
  yield* syncSlots(member, goal.slots);
  yield* member.pause();
  const data = member.data();
  if (rules.ownTimelines && goal.timeline !== null) data.reserved = Math.max(data.reserved, goal.timeline - 1);
  yield* member.pause();
  if (signal.aborted) throw new StepError('aborted', 'the take-over was broken off');
  if (!member.agent.leased()) throw new StepError('unsafe', `${member.name} is not promoted: the agents' majority is out of reach`);
  yield* member.pause();
  member.markTerm(term);
  yield* promoteServer(member, signal);
}

/** A primary that stops waits for its standbys, but not for one that is not connected at that moment. */
function mustHave(member: ModelMember, end: WalPosition): void {
  const own = positionOnDisk(member.data().wal);
  if (!covers(own, end)) throw new StepError('unsafe', `${member.name} has WAL up to ${own.lsn}, and the primary was stopped at ${end.lsn}`);
}

/** Streams until it has the position. */
function* catchUp(member: ModelMember, target: CatchUp, term: number, signal: SimSignal): Work {
  const { clock } = member.world;
  member.reload({ kind: 'follow', upstream: target.upstream, slot: '', name: `${member.name}@${term}` });
  const end = lsnNumber(target.lsn);
  let last = -1;
  let moved = clock.now;
  for (;;) {
    if (signal.aborted) throw new StepError('aborted', 'the take-over was broken off');
    yield* member.pause();
    const server = member.sql();
    const now = Math.max(server.receiver?.received ?? 0, server.replayed);
    if (now >= end && (!member.world.rules.catchUpTimeline || covers(positionOnDisk(member.data().wal), target))) return;
    if (now > last) moved = clock.now;
    else if (clock.now - moved > STALLED_MS) throw new StepError('postgres-failed', `${member.name} lacks WAL up to ${target.lsn} and does not get it from ${target.upstream.member}`);
    last = now;
    yield* sleep(10, signal);
  }
}
