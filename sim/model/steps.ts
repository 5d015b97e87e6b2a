/** src/group/member/perform.ts of the model: the effects of each step, with a moment between any two of them. */
import type { Step } from '../../src/group/member/next-step.ts';
import { sleep, type SimSignal, type Work } from '../kernel/process.ts';
import { StepError } from '../kernel/violation.ts';
import { attachByClone, attachByCopy, holdAtLogger } from './attach.ts';
import { remove, setAside } from './clear.ts';
import type { ModelMember } from './member.ts';
import { promise, takeOverElected } from './promise.ts';
import { rewind } from './rewind.ts';
import { takeOver } from './take-over.ts';

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
    case 'attach': {
      if (orders.goal.kind !== 'follow') throw new StepError('internal', 'attach without a goal to follow');
      const order = { goal: orders.goal, incarnation: orders.record.incarnation, term: orders.term };
      return yield* member.isLocal ? attachByCopy(member, order, signal) : attachByClone(member, order, signal);
    }
    case 'rewind':
      return yield* rewind(member, signal);
    case 'promise':
      member.nowDoing('promising');
      return yield* promise(member, orders.term, signal);
    case 'set-aside':
      return yield* setAside(member.world, member.name);
    case 'start':
      member.nowDoing('starting');
      yield* holdAtLogger(member);
      return yield* member.start(step.as);
    case 'stop':
      member.nowDoing('stopping');
      yield* member.stop(step.mode, signal);
      return;
    case 'configure':
      yield* holdAtLogger(member);
      yield* member.pause();
      member.reload();
      return;
    case 'sync-slots':
      return yield* syncSlots(member, 'slots' in orders.goal ? (orders.goal.slots ?? []) : []);
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
      return yield* member.isLocal ? takeOverElected(member, orders.goal, orders.term, signal) : takeOver(member, orders.goal, orders.term, signal);
    case 'remove':
      member.nowDoing('removing its files');
      yield* remove(member.world, { name: member.name, host: member.agent.host, runs: () => member.postmaster !== null });
      member.removed = member.world.rules.removeOnce;
  }
}

function* initdb(member: ModelMember, incarnation: number): Work {
  const { folders } = member.world.disks;
  const before = member.folder;
  if (before !== undefined && before.marker.incarnation > 0) throw new StepError('unsafe', `${member.name} holds a database system already`);
  folders.set(member.name, { host: member.agent.host, marker: { member: member.name, incarnation: 0, term: 0 }, fenced: null, lock: null, data: null });
  yield* sleep(member.world.random.int(100, 800));
  const folder = member.folder!;
  folder.data = {
    wal: [{ timeline: 1, commit: null }], flushed: 1, standbySignal: false, clean: true, slots: new Set(), accounts: false,
    systemIdentifier: '7000000000000000001', conf: member.configuration(), torn: false, oldest: 0, reserved: 1, logger: null,
  };
  yield* member.pause();
  folder.marker = { member: member.name, incarnation, term: 0 };
}

export function* syncSlots(member: ModelMember, wanted: readonly string[]): Work {
  yield* member.pause();
  const server = member.sql();
  const { slots } = server.data;
  for (const slot of slots) {
    if (wanted.includes(slot)) continue;
    for (const stream of server.streams.filter((one) => one.slot === slot)) stream.closeBySender(false);
    slots.delete(slot);
  }
  yield* member.pause();
  member.sql();
  for (const slot of wanted) slots.add(slot);
}
