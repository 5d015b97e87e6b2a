/** New data for a member: a clone of its upstream's folder on the shared volume, or a copy over the network. */
import type { Goal } from '../../src/group/model.ts';
import { sleep, type SimSignal, type Work } from '../kernel/process.ts';
import { StepError } from '../kernel/violation.ts';
import { cloneData } from '../world/disks.ts';
import type { ModelMember } from './member.ts';
import { ModelPostgres } from './postgres.ts';

export interface AttachOrder {
  goal: Extract<Goal, { kind: 'follow' }>;
  incarnation: number;
  term: number;
}

/** On whoever is the upstream, a logger or a postgres. @throws where it does not answer. */
function* makeSlot(member: ModelMember, { upstream: { member: name, port }, slot }: AttachOrder['goal']): Work {
  const { world } = member;
  yield* member.pause(4);
  const upstream = world.disks.listening(port);
  if (!upstream?.answers || !world.network.linked(member.agent.host, upstream.host)) throw new StepError('postgres-failed', `${name} does not answer`);
  upstream.data.slots.add(slot);
}

/** A logger that was made anew, or is followed for the first time, has no slot for this member yet. */
export function* holdAtLogger(member: ModelMember): Work {
  const { goal } = member.orders;
  if (goal.kind === 'follow' && goal.makesSlot === true) yield* makeSlot(member, goal);
}

/** The server whose data are taken, asked once more at each turn. @throws where it does not answer (any more). */
function asker(member: ModelMember, order: AttachOrder): () => ModelPostgres {
  const { world } = member;
  const { port, member: name } = order.goal.base ?? order.goal.upstream;
  const upstream = world.disks.listening(port);
  return () => {
    const reached = upstream !== undefined && (!member.isLocal || world.network.linked(member.agent.host, upstream.host));
    if (!(upstream instanceof ModelPostgres) || !upstream.answers || !reached) throw new StepError('postgres-failed', `${name} does not answer`);
    return upstream;
  };
}

export function* attachByClone(member: ModelMember, order: AttachOrder, signal: SimSignal): Work {
  const { world } = member;
  const { disks, random } = world;
  const { goal } = order;
  if (world.copiesFail.has(member.name)) throw new StepError('volume-full', 'the volume takes no further member');
  yield* member.pause();
  const ask = asker(member, order);
  ask().data.slots.add(goal.slot);
  member.nowDoing('waiting for a checkpoint');
  yield* sleep(random.int(5, 300));
  ask();
  member.nowDoing('cloning');
  yield* sleep(random.int(5, 300), signal);
  if (signal.aborted) throw new StepError('aborted', 'the attach was broken off');
  const source = disks.folders.get(goal.upstream.member)?.data;
  if (!source) throw new StepError('postgres-failed', `${goal.upstream.member} has no data to clone`);
  if (member.folder !== undefined) throw new StepError('unsafe', `${member.name}'s folder exists`);
  // A file system writes out what it clones.
  source.flushed = source.wal.length;
  disks.folders.set(member.name, { host: member.agent.host, marker: { member: member.name, incarnation: 0, term: order.term }, fenced: null, lock: null, data: cloneData(source) });
  yield* finish(member, order);
}

export function* attachByCopy(member: ModelMember, order: AttachOrder, signal: SimSignal): Work {
  const { world } = member;
  const { disks, random } = world;
  if (world.copiesFail.has(member.name)) throw new StepError('volume-full', `${member.name}'s disk takes no copy`);
  yield* member.pause();
  yield* makeSlot(member, order.goal);
  const ask = asker(member, order);
  ask();
  if (member.folder !== undefined) throw new StepError('unsafe', `${member.name}'s folder exists`);
  disks.folders.set(member.name, { host: member.agent.host, marker: { member: member.name, incarnation: 0, term: order.term }, fenced: null, lock: null, data: null });
  for (let part = 0; part < 5; part += 1) {
    yield* sleep(random.int(20, 300), signal);
    if (signal.aborted) throw new StepError('aborted', 'the attach was broken off');
    ask();
  }
  const source = ask();
  const { data } = source;
  const whole = world.rules.copyWithWal || order.goal.base === undefined || source.open;
  member.folder!.data = cloneData({ ...data, wal: data.wal.slice(0, whole ? data.flushed : source.restartPoint) });
  yield* finish(member, order);
}

/** What makes a standby of the copy, and last the marker that says it is whole. */
function* finish(member: ModelMember, { incarnation, term }: AttachOrder): Work {
  yield* member.pause(10);
  member.home.restoreFrom = null;
  member.becomeStandby();
  yield* member.pause(10);
  member.folder!.marker = { member: member.name, incarnation, term };
}
