/** Putting a member's data right: what it wrote beyond the fork is taken back. Sometimes that can't be done. */
import { sleep, type SimSignal, type Work } from '../kernel/process.ts';
import { StepError } from '../kernel/violation.ts';
import type { ModelMember } from './member.ts';
import { timelineOf } from './wal.ts';

export function* rewind(member: ModelMember, signal: SimSignal): Work {
  const { orders, world, folder } = member;
  if (orders.goal.kind !== 'follow') throw new StepError('internal', 'a rewind without a goal to follow');
  yield* sleep(world.random.int(50, 800), signal);
  if (signal.aborted) throw new StepError('aborted', 'the rewind was broken off');
  const upstream = world.disks.listening(orders.goal.upstream.port);
  // One that is away says nothing of the data; one that is no primary refuses.
  if (!upstream?.answers || !world.network.linked(member.agent.host, upstream.host)) throw new StepError('host-unreachable', 'the source of the rewind is away');
  const own = folder?.data?.wal ?? [];
  const source = upstream.data.wal;
  const related = source.some((record) => record.timeline === timelineOf(own));
  if (!upstream.open || !folder?.data || !related || world.random.chance(0.3)) {
    member.rewindFailedFor = orders.record.incarnation;
    return;
  }
  const same = own.findIndex((record, i) => source[i] !== record);
  const fork = same < 0 ? Math.min(own.length, source.length) : same;
  world.invariants.truncated(folder, fork, member.name);
  own.length = fork;
  folder.data.flushed = fork;
  folder.data.torn = false;
  folder.data.slots.clear();
  member.becomeStandby();
  yield* member.pause(10);
  folder.marker = { member: member.name, incarnation: orders.record.incarnation, term: orders.term };
}
