/** Carries out one step. Every step may be repeated: a crash in the middle leaves something that the next look recognises. */
import { PgorbitError } from '../../errors.ts';
import { setUpAccounts } from './accounts.ts';
import type { Member } from './member.ts';
import type { Step } from './next-step.ts';
import { makeLoggerSlot, syncSlots } from './slots.ts';
import { attach, type AttachTimes } from './steps/attach.ts';
import { attachByCopy } from './steps/attach-copy.ts';
import { removeFolders, setAside } from './steps/clear.ts';
import { createSystem } from './steps/create.ts';
import { promise } from './steps/promise.ts';
import { rewindMember } from './steps/rewind.ts';
import { takeOverElected } from './steps/take-over-elected.ts';
import { takeOver } from './steps/take-over.ts';

/** A checkpoint of a large cache on a slow disk. */
const CHECKPOINT_MS = 600_000;

export interface Attached extends AttachTimes {
  /** performance.now() when the clone was whole. */
  at: number;
}

/** @returns how an attach went, for the story that is told when the member streams. */
export async function perform(member: Member, step: Step, signal: AbortSignal): Promise<Attached | null> {
  const { orders, environment } = member;
  const { volume } = environment;
  switch (step.do) {
    case 'nothing':
      return null;
    case 'initdb':
      await createSystem(member, volume, orders.record.incarnation);
      return null;
    case 'set-up-accounts':
      await setUpAccounts(member.sql(), environment.secrets);
      return null;
    case 'attach': {
      if (orders.goal.kind !== 'follow') throw new PgorbitError('internal', `${member.place.member} attaches without a goal to follow`);
      const order = { goal: orders.goal, incarnation: orders.record.incarnation, term: orders.term, checkpoint: orders.spec.checkpoint, rate: orders.spec.members[member.place.member]?.rate ?? null };
      const times = member.place.dirOf === null || orders.goal.upstream.site !== undefined ? await attachByCopy(member, volume, order, signal) : await attach(member, volume, order, signal);
      return { ...times, at: performance.now() };
    }
    case 'rewind':
      await rewindMember(member, signal);
      return null;
    case 'promise':
      member.nowDoing('promising');
      await promise(member, orders.term, signal);
      return null;
    case 'set-aside':
      await setAside(member.place, volume);
      return null;
    case 'start':
      member.nowDoing('starting');
      await holdAtLogger(member);
      await member.start(step.as);
      return null;
    case 'stop':
      member.nowDoing(step.mode === 'smart' ? 'waiting for its sessions to end' : 'stopping');
      await member.stop(step.mode, signal);
      return null;
    case 'configure':
      await holdAtLogger(member);
      await member.reload();
      return null;
    case 'sync-slots':
      await syncSlots(member.sql(), 'slots' in orders.goal ? (orders.goal.slots ?? []) : []);
      return null;
    case 'mark-term':
      await member.markTerm(orders.term);
      return null;
    case 'checkpoint':
      member.nowDoing('checkpoint');
      await member.sql().query('checkpoint', [], { timeoutMs: CHECKPOINT_MS });
      member.checkpointedFor = member.checkpointKey();
      return null;
    case 'take-over':
      if (orders.goal.kind !== 'promote') throw new PgorbitError('internal', `${member.place.member} takes over without a goal to`);
      if (member.place.dirOf === null) await takeOverElected(member, orders.goal, orders.term, signal);
      else await takeOver(member, orders.goal, orders.term, signal);
      return null;
    case 'remove':
      member.nowDoing('removing its files');
      if (member.postmaster !== null) throw new PgorbitError('internal', `${member.place.member} still runs: its files stay`);
      await removeFolders(member.place, volume);
      await member.removeHome();
      member.removed = true;
      return null;
  }
}

/** A logger that was made anew, or is followed for the first time, has no slot for this member yet. */
async function holdAtLogger({ orders: { goal }, environment }: Member): Promise<void> {
  if (goal.kind === 'follow' && goal.makesSlot === true) await makeLoggerSlot(goal.upstream, goal.slot, environment.secrets.replication);
}
