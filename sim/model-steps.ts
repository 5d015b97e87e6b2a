/** src/group/member/perform.ts of the model: the effects of each step, with a moment between any two of them. */
import type { Step } from '../src/group/member/next-step.ts';
import type { Goal } from '../src/group/model.ts';
import type { ModelMember } from './model-member.ts';
import { ASIDE, cloneData, type Data } from './model-volume.ts';
import { sleep, type SimSignal, type Work } from './process.ts';
import { StepError } from './violation.ts';
import { admits, timelineOf } from './wal.ts';

const STALLED_MS = 10_000;
const PROMOTE_MS = 20_000;

export function* perform(member: ModelMember, step: Step, signal: SimSignal): Work {
  const { orders } = member;
  switch (step.do) {
    case 'nothing':
      return;
    case 'initdb':
      return yield* initdb(member, orders.record.incarnation);
    case 'set-up-accounts':
      yield* member.pause(20);
      member.sql().data.accounts = true;
      return;
    case 'attach':
      if (orders.goal.kind !== 'follow') throw new StepError('internal', 'attach without a goal to follow');
      return yield* attach(member, orders.goal, orders.record.incarnation, orders.term, signal);
    case 'set-aside':
      return yield* setAside(member);
    case 'start':
      member.nowDoing('starting');
      return yield* member.start(step.as);
    case 'stop':
      member.nowDoing('stopping');
      yield* member.stop(step.mode, signal);
      return;
    case 'configure':
      yield* member.pause();
      member.reload();
      return;
    case 'sync-slots':
      return yield* syncSlots(member, orders.goal.kind === 'primary' ? orders.goal.slots : []);
    case 'mark-term':
      yield* member.pause();
      member.markTerm(orders.term);
      return;
    case 'checkpoint':
      member.nowDoing('checkpoint');
      yield* member.pause(300);
      member.sql();
      member.checkpointedFor = member.checkpointKey();
      return;
    case 'take-over':
      if (orders.goal.kind !== 'promote') throw new StepError('internal', 'take-over without a goal to promote');
      return yield* takeOver(member, orders.goal, orders.term, signal);
    case 'remove':
      member.nowDoing('removing its files');
      return yield* remove(member);
  }
}

function* initdb(member: ModelMember, incarnation: number): Work {
  const { folders } = member.world.volume;
  const before = member.folder;
  if (before !== undefined && before.marker.incarnation > 0) throw new StepError('unsafe', `${member.name} holds a database system already`);
  folders.set(member.name, { marker: { member: member.name, incarnation: 0, term: 0 }, fenced: null, lock: null, data: null });
  yield* sleep(member.world.random.int(100, 800));
  const folder = member.folder!;
  folder.data = {
    wal: [{ timeline: 1, commit: null }], standbySignal: false, clean: true, slots: new Set(), accounts: false,
    systemIdentifier: '7000000000000000001', conf: '{"upstream":null,"slot":null}', torn: false, oldest: 0,
  };
  yield* member.pause();
  folder.marker = { member: member.name, incarnation, term: 0 };
}

function* attach(member: ModelMember, goal: Extract<Goal, { kind: 'follow' }>, incarnation: number, term: number, signal: SimSignal): Work {
  const { world } = member;
  const { volume, random } = world;
  if (world.clonesFail.has(member.name)) throw new StepError('volume-full', 'the volume takes no further member');
  yield* member.pause();
  const upstream = volume.listening(goal.upstream.port);
  const answers = (): boolean => upstream?.alive === true && upstream.phase === 'ready';
  if (!upstream || !answers()) throw new StepError('postgres-failed', `${goal.upstream.member} does not answer`);
  upstream.data.slots.add(goal.slot);
  member.nowDoing('waiting for a checkpoint');
  yield* sleep(random.int(5, 300));
  if (!answers()) throw new StepError('postgres-failed', `${goal.upstream.member} went away during the checkpoint`);
  member.nowDoing('cloning');
  yield* sleep(random.int(5, 300), signal);
  if (signal.aborted) throw new StepError('aborted', 'the attach was broken off');
  const source = volume.folders.get(goal.upstream.member)?.data;
  if (!source) throw new StepError('postgres-failed', `${goal.upstream.member} has no data to clone`);
  if (member.folder !== undefined) throw new StepError('unsafe', `${member.name}'s folder exists`);
  const data = cloneData(source);
  volume.folders.set(member.name, { marker: { member: member.name, incarnation: 0, term }, fenced: null, lock: null, data });
  yield* member.pause(10);
  world.home(member.name).restoreFrom = null;
  member.becomeStandby();
  yield* member.pause(10);
  member.folder!.marker = { member: member.name, incarnation, term };
}

function* setAside(member: ModelMember): Work {
  const { volume, invariants } = member.world;
  yield* member.pause();
  const { folder } = member;
  if (folder === undefined) return;
  if (folder.marker.incarnation === 0) {
    invariants.deleted(folder, `${member.name}, half made,`);
    volume.folders.delete(member.name);
    return;
  }
  const aside = `${member.name}${ASIDE}${folder.marker.incarnation}`;
  const before = volume.folders.get(aside);
  if (before !== undefined) invariants.deleted(before, aside);
  volume.folders.delete(aside);
  yield* member.pause();
  if (volume.serverIn(folder) !== undefined) throw new StepError('internal', `${member.name} runs while its folder is moved`);
  volume.folders.delete(member.name);
  volume.folders.set(aside, folder);
}

/** To be called when the member streams again. */
export function dropAside(member: ModelMember): void {
  const { volume, invariants } = member.world;
  for (const [name, folder] of volume.folders) {
    if (!name.startsWith(`${member.name}${ASIDE}`)) continue;
    invariants.deleted(folder, name);
    volume.folders.delete(name);
  }
}

function* remove(member: ModelMember): Work {
  const { volume, invariants, homes } = member.world;
  yield* member.pause(20);
  if (member.postmaster !== null) throw new StepError('internal', `${member.name} still runs`);
  const { folder } = member;
  if (folder !== undefined) invariants.deleted(folder, member.name);
  volume.folders.delete(member.name);
  dropAside(member);
  yield* member.pause(20);
  homes.delete(member.name);
  volume.cgroups.delete(member.name);
}

function* syncSlots(member: ModelMember, wanted: readonly string[]): Work {
  yield* member.pause();
  const { slots } = member.sql().data;
  for (const slot of slots) if (!wanted.includes(slot)) slots.delete(slot);
  yield* member.pause();
  member.sql();
  for (const slot of wanted) slots.add(slot);
}

function* takeOver(member: ModelMember, goal: Extract<Goal, { kind: 'promote' }>, term: number, signal: SimSignal): Work {
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
  yield* promote(member, signal);
  yield* member.pause();
  world.home(member.name).restoreFrom = null;
}

/** The mark, the kill, the cgroup's end. */
function* fence(member: ModelMember, name: string, term: number): Work {
  const { world } = member;
  yield* member.pause();
  const folder = world.volume.folders.get(name);
  if (folder === undefined || folder.marker.member !== name) throw new StepError('fence-failed', `the data of ${name} are not there`);
  if (!world.rules.fence) return;
  folder.fenced = Math.max(folder.fenced ?? 0, term);
  yield* member.pause(10);
  world.volume.serverIn(folder)?.kill();
  yield* member.pause(10);
  // A server that slipped in outside the cgroup is found by its working directory.
  world.volume.serverIn(folder)?.kill();
  if (world.rules.cgroup) world.volume.cgroups.delete(name);
  world.trace(() => `${member.name} has fenced ${name} in term ${term}`);
}

function* replayAll(member: ModelMember, name: string, signal: SimSignal): Work {
  const { world } = member;
  const source = (): Data => {
    const data = world.volume.folders.get(name)?.data;
    if (!data) throw new StepError('internal', `${name} has no WAL to read`);
    return data;
  };
  source();
  yield* member.pause();
  member.reload();
  yield* member.pause(100);
  const { wal } = source();
  if (timelineOf(member.data().wal) > timelineOf(wal)) return;
  const from = Math.max(member.sql().replayed, firstOf(wal));
  const end = from > wal.length ? from : wal.length;
  yield* member.pause();
  if (member.sql().replayed >= end) return;
  world.home(member.name).restoreFrom = name;
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

/** Where a WAL's newest timeline begins. */
function firstOf(wal: Data['wal']): number {
  const timeline = timelineOf(wal);
  return wal.findIndex((record) => record.timeline === timeline);
}

function* promote(member: ModelMember, signal: SimSignal): Work {
  const { clock } = member.world;
  yield* member.pause();
  const server = member.sql();
  if (server.inRecovery) server.promote();
  const started = clock.now;
  for (;;) {
    yield* member.pause();
    if (!member.sql().inRecovery) return;
    if (clock.now - started > PROMOTE_MS) throw new StepError('timed-out', `${member.name} still is in recovery`);
    if (signal.aborted) throw new StepError('aborted', 'the promotion was broken off');
    yield* sleep(10, signal);
  }
}
