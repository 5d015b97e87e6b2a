/**
 * What a member's agent does next: from the goal and the facts on its host to one step. Pure. Whatever state a crash
 * left behind, repeating "look, take one step" reaches the goal; every step is safe to take again.
 */
import type { ErrorReport } from '../../errors.ts';
import type { Goal, MemberRecord, WalPosition } from '../model.ts';

/** What lies in the member's folder and what runs on it. */
export interface Facts {
  /** The data directory, when it is whole and this member's; a half-made or foreign one is `data: null` with `debris`. */
  data: { incarnation: number; term: number; standbySignal: boolean; cleanStop: boolean | null } | null;
  /** The end of the WAL of a primary that was stopped cleanly, where the goal is `stop`. */
  stoppedAt: WalPosition | null;
  /** Something of pgorbit's lies where the data should be, but no whole data directory of this member. */
  debris: boolean;
  /** Data of earlier incarnations that were set aside are still there (looked for where the member is to go). */
  aside: boolean;
  /** The term whose promotion fenced this folder, or null. */
  fencedTerm: number | null;
  process: 'none' | 'starting' | 'ready' | 'stopping';
  inRecovery: boolean | null;
  /** The `restarts` number that postgres was last started for; 0 when never. */
  startedFor: number;
  /** The configuration files are what goal and manifest ask for. */
  configured: boolean;
  /** pgorbit's accounts exist with their passwords (asked of a primary only). */
  accounts: boolean;
  /** pgorbit's slots are the wanted ones (asked of a primary only). */
  slots: boolean;
  /** Client sessions, or null when not known. */
  sessions: number | null;
  /** A checkpoint was made for the present goal. */
  checkpointed: boolean;
  /** The newest term that was promised, 0 for none; and what the member had then, null before it has been read. */
  promisedTerm: number;
  promised: { term: number; timeline: number; lsn: string } | null;
  /** The orders are the newest that a majority of the agents knows of, or were so since the agent began. */
  current: boolean;
  /**
   * The agent may believe that nobody else was promoted: always true where no lease is needed, and never where another
   * site is the primary one by now.
   */
  leased: boolean;
  /** So may what was found running: likewise, or the agent has just begun, and nobody had the time to answer it. */
  mayGoOn: boolean;
  /** This very postmaster was asked to promote: it may accept writes at any moment, whatever it says now. */
  promotionAsked: boolean;
  /** To put the data right was tried for the wanted incarnation, and can't be done. */
  rewindFailed: boolean;
}

export type Step =
  /** Nothing to do, or nothing that may be done: `reached` says which. */
  | { do: 'nothing'; reached: boolean; error?: ErrorReport }
  | { do: 'initdb' }
  | { do: 'set-up-accounts' }
  | { do: 'attach' }
  | { do: 'rewind' }
  | { do: 'promise' }
  | { do: 'set-aside' }
  | { do: 'start'; as: 'primary' | 'standby' }
  | { do: 'stop'; mode: 'smart' | 'fast' | 'immediate' }
  | { do: 'configure' }
  | { do: 'sync-slots' }
  | { do: 'mark-term' }
  | { do: 'checkpoint' }
  | { do: 'take-over' }
  | { do: 'remove' };

const reached: Step = { do: 'nothing', reached: true };
const waiting: Step = { do: 'nothing', reached: false };
/** A stop that an earlier goal began, and that may wait for clients: it is brought to its end. */
const finishStop: Step = { do: 'stop', mode: 'fast' };
const refused = (code: ErrorReport['code'], message: string): Step => ({ do: 'nothing', reached: false, error: { code, message } });

export interface StepInput {
  goal: Goal;
  member: Pick<MemberRecord, 'name' | 'incarnation' | 'restarts' | 'renewal'>;
  term: number;
  facts: Facts;
}

/**
 * A goal that is reached proves the data: what was set aside for them may go. One that was promoted before it had ever
 * streamed has nobody to stream from.
 */
export const dataProven = (goal: Goal, streamingFrom: string | null): boolean => goal.kind === 'primary' || (goal.kind === 'follow' && streamingFrom !== null);

export function nextStep(input: StepInput): Step {
  const { goal, facts } = input;
  // Another may be promoted at any moment: nothing may be written here any more, and there is no time for manners.
  if (goal.kind !== 'create' && goal.kind !== 'stop' && facts.process !== 'none' && !facts.mayGoOn && facts.inRecovery !== true && facts.data?.standbySignal === false) return { do: 'stop', mode: 'immediate' };
  if (areStale(input)) return waiting;
  switch (goal.kind) {
    case 'create':
      return create(input);
    case 'primary':
      return primary(input);
    case 'follow':
      return follow(input);
    case 'promise':
      return promise(input);
    case 'promote':
      return promote(input);
    case 'checkpoint':
      if (facts.process !== 'ready') return waiting;
      return facts.checkpointed ? reached : { do: 'checkpoint' };
    case 'drain':
      if (facts.process === 'none') return reached;
      if (facts.process === 'stopping' || (goal.patient && facts.sessions !== 0)) return waiting;
      return { do: 'stop', mode: 'smart' };
    case 'stop':
      return facts.process === 'none' ? reached : { do: 'stop', mode: 'fast' };
    case 'remove':
      if (facts.process !== 'none') return { do: 'stop', mode: 'fast' };
      return facts.data !== null || facts.debris || facts.aside ? { do: 'remove' } : reached;
  }
}

/**
 * What is committed among the agents is known to one that has just started only after it has heard from the leader: until
 * then it may see an older state, and obeys nothing. A promise, and the marks on the data, show as much.
 */
function areStale({ facts, member, term }: StepInput): boolean {
  return !facts.current || facts.promisedTerm > term || (facts.data !== null && (facts.data.term > term || facts.data.incarnation > member.incarnation));
}

/** initdb, start, accounts. */
function create({ facts, member }: StepInput): Step {
  if (facts.data === null) return facts.process === 'none' ? { do: 'initdb' } : { do: 'stop', mode: 'fast' };
  if (facts.data.standbySignal) return refused('unsafe', `${member.name} holds a standby's data: it can't be the first member of a group`);
  if (facts.process === 'none') return { do: 'start', as: 'primary' };
  if (facts.process === 'stopping') return finishStop;
  if (facts.process !== 'ready') return waiting;
  return facts.accounts ? reached : { do: 'set-up-accounts' };
}

/** A primary's data is never made anew here, and it starts only when the decider asks: once for each `restarts`. */
function primary({ facts, member, term }: StepInput): Step {
  const { data } = facts;
  if (data === null || data.incarnation !== member.incarnation) {
    return refused('unsafe', `${member.name} is to be the primary, but its data directory is ${data === null ? 'missing' : `incarnation ${data.incarnation}, not ${member.incarnation}`}`);
  }
  if (facts.fencedTerm !== null && facts.fencedTerm >= term) {
    return refused('fenced', `${member.name} was fenced in term ${facts.fencedTerm}: it may not accept writes in term ${term}`);
  }
  if (facts.process === 'none') {
    if (data.standbySignal) return refused('unsafe', `${member.name} holds a standby's data: it becomes a primary only by a promotion`);
    return facts.leased && facts.startedFor < member.restarts ? { do: 'start', as: 'primary' } : waiting;
  }
  if (facts.process === 'stopping') return finishStop;
  if (facts.process !== 'ready') return waiting;
  if (facts.inRecovery) return refused('unsafe', `${member.name} runs as a standby: it becomes a primary only by a promotion`);
  if (data.term !== term) return { do: 'mark-term' };
  if (!facts.accounts) return { do: 'set-up-accounts' };
  if (!facts.configured) return { do: 'configure' };
  if (facts.startedFor < member.restarts) return { do: 'stop', mode: 'fast' };
  return facts.slots ? reached : { do: 'sync-slots' };
}

/** Attach where there is no data of this incarnation, then run as a standby of whoever is the upstream. */
function follow({ facts, member, term }: StepInput): Step {
  const { data } = facts;
  if (data === null || data.incarnation < member.incarnation) {
    if (facts.process !== 'none') return { do: 'stop', mode: 'fast' };
    if (data !== null && member.renewal === 'rewind' && !facts.rewindFailed) return { do: 'rewind' };
    return data !== null || facts.debris ? { do: 'set-aside' } : { do: 'attach' };
  }
  if (facts.process === 'none') return { do: 'start', as: 'standby' };
  if (facts.process === 'stopping') return finishStop;
  if (facts.process !== 'ready') return waiting;
  // It was a primary: what it is now it becomes by a clean stop and a start as a standby.
  if (facts.inRecovery === false) return { do: 'stop', mode: 'fast' };
  if (facts.promotionAsked) return { do: 'stop', mode: 'immediate' };
  if (data.term !== term) return { do: 'mark-term' };
  if (!facts.configured) return { do: 'configure' };
  if (facts.startedFor < member.restarts) return { do: 'stop', mode: 'fast' };
  // Slots of its time as a primary would keep WAL for ever.
  return facts.slots ? reached : { do: 'sync-slots' };
}

/** Whoever accepts writes stops doing so; then no acknowledgement may leave any more; only then it is said what is here. */
function promise({ facts, term }: StepInput): Step {
  if (facts.process === 'stopping') return finishStop;
  if (facts.process === 'ready' && (facts.inRecovery === false || facts.promotionAsked)) return { do: 'stop', mode: 'immediate' };
  // A standby that is only starting may yet connect to its old upstream.
  if (facts.process === 'starting') return facts.data?.standbySignal ? waiting : { do: 'stop', mode: 'immediate' };
  return facts.promised?.term === term ? reached : { do: 'promise' };
}

/**
 * The marker's term is written just before the promotion: data of this term without standby.signal have been promoted
 * in it, and any other that accept writes, or did, first become a standby, to take over from those who came after.
 */
function promote({ facts, member, term }: StepInput): Step {
  const { data } = facts;
  if (data === null || data.incarnation !== member.incarnation) return refused('unsafe', `${member.name} has no data of its own to promote`);
  if (facts.fencedTerm !== null && facts.fencedTerm >= term) {
    return refused('fenced', `${member.name} was fenced in term ${facts.fencedTerm}: it may not be promoted in term ${term}`);
  }
  if (facts.process === 'none') {
    const standby = data.standbySignal || data.term !== term;
    return standby || facts.leased ? { do: 'start', as: standby ? 'standby' : 'primary' } : waiting;
  }
  if (facts.process === 'stopping') return finishStop;
  if (facts.process !== 'ready') return waiting;
  if (facts.inRecovery) return { do: 'take-over' };
  return data.term === term ? reached : { do: 'stop', mode: 'fast' };
}
