/**
 * Raft, pure: no I/O, no clock, no randomness of its own. Shaped like etcd-io/raft. A driver (../raft-store.ts) feeds
 * it ticks, messages and proposals, takes a Ready, makes it durable, sends, applies, and calls advance(); between
 * ready() and advance() it calls nothing else.
 *
 *   types.ts        the words: entries, messages, Ready
 *   log.ts          the log in memory            progress.ts   flow control, one record a follower
 *   membership.ts   who counts, and majorities   state.ts      a node's state, its changes of role, the lease
 *   election.ts     pre-vote, vote, promise      replication.ts  append, commit, snapshot, transfer, membership
 *   reads.ts        read-index
 *
 * What may be touched: a change of behaviour changes testdata/*.txt (UPDATE_GOLDEN=1 rewrites them; read the diff) and
 * must leave properties.test.ts and mutation.test.ts green as they are. A change of Message changes ../wire.ts and its
 * version.
 */
import { campaign, isPromised, onPreVote, onVote, onVoteReply } from './election.ts';
import { addRead } from './reads.ts';
import {
  appendEntry, applyConfChange, broadcastHeartbeat, noteStable, onAppend, onAppendReply, onHeartbeat, onHeartbeatReply,
  onSnapshot, startTransfer,
} from './replication.ts';
import { becomeFollower, committedInTerm, leaseStart, majorityHeardAt, newState, send, type RaftState } from './state.ts';
import type {
  Conf, ConfChange, HardState, Message, RaftOptions, RaftRole, RaftStart, Ready, Snapshot,
} from './types.ts';

export interface RaftStatus {
  id: string;
  role: RaftRole;
  term: number;
  vote: string | null;
  leader: string | null;
  conf: Conf;
  committed: number;
  applied: number;
  lastIndex: number;
  /** The leader has committed an entry of its own term: from then on what it has applied is the newest state. */
  committedInTerm: boolean;
  /** Ticks since the start, the unit of `leaseStart`. */
  ticks: number;
  /** The tick from which the leader's lease of leaseTicks() counts; null without one. */
  leaseStart: number | null;
  /** To whom leadership is being handed, or null. */
  transfer: string | null;
  /** The leader's view of the members; empty elsewhere. `ackedAt` is a tick. */
  progress: { id: string; match: number; next: number; state: 'probe' | 'replicate' | 'snapshot'; ackedAt: number | null }[];
}

/** What is asked for at every tick and message: cheap. */
export type RaftBrief = Pick<RaftStatus, 'id' | 'role' | 'term' | 'leader' | 'ticks' | 'applied'>;

/** Why a proposal was not taken. */
export type Refusal = 'not-leader' | 'transferring' | 'conf-pending' | 'nothing-received';
export type Proposed = { ok: true; index: number; term: number } | { ok: false; why: Refusal };

/** A heartbeat that comes so many ticks late is nothing yet. */
const HEARTBEAT_LATE_TICKS = 2;

const FROM_LEADER: ReadonlySet<Message['type']> = new Set(['append', 'heartbeat', 'snapshot']);

export class Raft {
  readonly #state: RaftState;
  #saved: HardState;
  #outstanding: Ready | null = null;

  constructor(options: RaftOptions, start: RaftStart) {
    if (options.electionTicks < 4 || options.heartbeatTicks < 1 || options.heartbeatTicks >= options.electionTicks) {
      throw new Error(`raft: electionTicks ${options.electionTicks} and heartbeatTicks ${options.heartbeatTicks} do not fit`);
    }
    this.#state = newState(options, start);
    this.#saved = start.hardState;
  }

  /** Time has passed. */
  tick(): void {
    this.#mayChange();
    const state = this.#state;
    state.ticks += 1;
    state.leaderContact += 1;
    if (state.role === 'leader') tickLeader(state);
    else {
      state.electionElapsed += 1;
      // Nobody else's candidacy to wait for; but a promise given when there were others holds.
      const alone = state.conf.voters.length === 1 && !isPromised(state);
      if (state.electionElapsed >= state.electionDeadline || alone) {
        state.electionElapsed = 0;
        campaign(state, false);
      }
    }
  }

  /**
   * With which tick from now on, at least the first, time itself may bring something about: those before it only count, and
   * may be counted together, but before anything else happens. A follower counts each by itself once a heartbeat is missing,
   * so that whoever calls tick() can tell its own pauses from a leader's silence.
   */
  ticksToNext(): number {
    const { role, ticks, leaderSince, heartbeatElapsed, electionElapsed, electionDeadline, transfer, conf, options } = this.#state;
    const { electionTicks, heartbeatTicks } = options;
    if (role !== 'leader') {
      if (conf.voters.length === 1) return 1;
      return Math.max(1, Math.min(electionDeadline, heartbeatTicks + HEARTBEAT_LATE_TICKS) - electionElapsed);
    }
    const quorum = electionTicks - (ticks - Math.max(majorityHeardAt(this.#state), leaderSince));
    const handOver = transfer === null ? Infinity : electionTicks - transfer.elapsed;
    return Math.max(1, Math.min(heartbeatTicks - heartbeatElapsed, quorum, handOver));
  }

  /**
   * The node itself stood still: what it did not hear meanwhile says nothing of the leader, whose messages are yet to be
   * read. Only its own candidacy waits longer; promises to others are left as they are.
   */
  restartElectionTimer(): void {
    this.#mayChange();
    this.#state.electionElapsed = 0;
  }

  /** The node is slower than its ticks: a leader writes at the next one, whatever the number of ticks since the last heartbeat. */
  hurryHeartbeat(): void {
    this.#mayChange();
    this.#state.heartbeatElapsed = this.#state.options.heartbeatTicks;
  }

  /** Tries to become the leader now instead of waiting for the election timeout, unless a leader was heard of late. */
  campaign(): void {
    this.#mayChange();
    if (!isPromised(this.#state)) campaign(this.#state, false);
  }

  /** A message has arrived. Throws when it shows that an invariant is broken: the node must then stop. */
  step(message: Message): void {
    this.#mayChange();
    const state = this.#state;
    if (!checkTerm(state, message)) return;
    if (FROM_LEADER.has(message.type)) hearLeader(state, message.from);
    dispatch(state, message);
  }

  /** Proposes the application's `data`; committed (or lost) later. Only the leader takes it. */
  propose(data: string): Proposed {
    this.#mayChange();
    const state = this.#state;
    if (state.role !== 'leader') return { ok: false, why: 'not-leader' };
    if (state.transfer !== null) return { ok: false, why: 'transferring' };
    return { ok: true, index: appendEntry(state, 'data', data).index, term: state.term };
  }

  /** Proposes one step of membership; refused while an earlier one is not yet applied, or for a learner that has nothing. */
  proposeConf(change: ConfChange): Proposed {
    this.#mayChange();
    const state = this.#state;
    if (state.role !== 'leader') return { ok: false, why: 'not-leader' };
    if (state.transfer !== null) return { ok: false, why: 'transferring' };
    if (state.pendingConfIndex > state.log.applied || !committedInTerm(state)) return { ok: false, why: 'conf-pending' };
    // A blank node does not vote: as a voter it would be missing from the next election.
    if (change.op === 'promote' && state.progress.get(change.id)?.match === 0) return { ok: false, why: 'nothing-received' };
    const entry = appendEntry(state, 'conf', JSON.stringify(change));
    state.pendingConfIndex = entry.index;
    return { ok: true, index: entry.index, term: state.term };
  }

  /** Hands leadership to a voter. False when this is not the leader, or `to` cannot take it. */
  transferLeader(to: string): boolean {
    this.#mayChange();
    return startTransfer(this.#state, to);
  }

  /**
   * Asks for a linearizable read; a ReadState with `context` (unique) comes in a later Ready, or never when the leader
   * changes or messages are lost: ask again. False when no leader is known.
   */
  readIndex(context: string): boolean {
    this.#mayChange();
    const state = this.#state;
    if (state.role === 'leader') addRead(state, context, state.id);
    else if (state.leader === null) return false;
    else send(state, state.leader, { type: 'read', context });
    return true;
  }

  /** What there is to do, or null. */
  ready(): Ready | null {
    this.#mayChange();
    const state = this.#state;
    const { log } = state;
    const hard: HardState = { term: state.term, vote: state.vote, commit: log.committed };
    const voted = hard.term !== this.#saved.term || hard.vote !== this.#saved.vote;
    const changed = voted || hard.commit !== this.#saved.commit;
    const entries = log.slice(log.stable + 1, log.lastIndex);
    const committed = log.slice(Math.max(log.applied, log.pendingSnapshot?.index ?? 0) + 1, log.committed);
    const nothing = !changed && entries.length === 0 && committed.length === 0 && log.pendingSnapshot === null;
    if (nothing && state.outbox.length === 0 && state.readStates.length === 0) return null;
    const mustSync = voted || entries.length > 0 || log.pendingSnapshot !== null || committed.some((entry) => entry.kind === 'conf');
    this.#outstanding = {
      hardState: changed ? hard : null, entries, snapshot: log.pendingSnapshot, messages: state.outbox, committed,
      readStates: state.readStates, mustSync,
    };
    state.outbox = [];
    state.readStates = [];
    this.#saved = hard;
    return this.#outstanding;
  }

  /** Everything that the last Ready asked for is done. */
  advance(): void {
    const ready = this.#outstanding;
    if (ready === null) throw new Error('raft: advance() without ready()');
    this.#outstanding = null;
    const state = this.#state;
    const { log } = state;
    if (ready.snapshot !== null) {
      log.pendingSnapshot = null;
      log.applied = ready.snapshot.index;
    }
    log.stable = log.lastIndex;
    for (const entry of ready.committed) {
      log.applied = entry.index;
      if (entry.kind === 'conf') applyConfChange(state, JSON.parse(entry.data) as ConfChange);
    }
    noteStable(state);
  }

  /**
   * Takes `data`, the application's state after everything applied, as the newest snapshot, and forgets the entries
   * before the last `keep`. The caller makes the returned snapshot durable.
   */
  compact(data: string, keep: number): Snapshot {
    this.#mayChange();
    const { log, conf } = this.#state;
    const snapshot: Snapshot = { index: log.applied, term: log.term(log.applied) ?? 0, conf, data };
    log.compact(snapshot, keep);
    return snapshot;
  }

  brief(): RaftBrief {
    const { id, role, term, leader, ticks, log } = this.#state;
    return { id, role, term, leader, ticks, applied: log.applied };
  }

  /** The tick from which the leader's lease counts; null without one. */
  leaseStart(): number | null {
    return leaseStart(this.#state);
  }

  status(): RaftStatus {
    const state = this.#state;
    return {
      id: state.id, role: state.role, term: state.term, vote: state.vote, leader: state.leader, conf: state.conf,
      committed: state.log.committed, applied: state.log.applied, lastIndex: state.log.lastIndex,
      committedInTerm: committedInTerm(state), ticks: state.ticks, leaseStart: leaseStart(state),
      transfer: state.transfer?.to ?? null,
      progress: [...state.progress].map(([id, { match, next, state: how, ackedAt }]) => ({ id, match, next, state: how, ackedAt })),
    };
  }

  #mayChange(): void {
    if (this.#outstanding !== null) throw new Error('raft: called between ready() and advance()');
  }
}

function tickLeader(state: RaftState): void {
  const { electionTicks, heartbeatTicks } = state.options;
  // Check-quorum: who has not been heard by a majority for an election timeout may have been replaced already.
  if (state.ticks - Math.max(majorityHeardAt(state), state.leaderSince) >= electionTicks) {
    becomeFollower(state, state.term, null);
    return;
  }
  if (state.transfer !== null) {
    state.transfer.elapsed += 1;
    if (state.transfer.elapsed >= electionTicks) {
      // Whoever was told to take over may still do so, past every promise: this term can hold no lease again.
      if (state.transfer.sent) return becomeFollower(state, state.term, null);
      state.transfer = null;
    }
  }
  state.heartbeatElapsed += 1;
  if (state.heartbeatElapsed >= heartbeatTicks) broadcastHeartbeat(state);
}

/** Compares terms, and changes ours where the message's is higher. Returns false when the message ends here. */
function checkTerm(state: RaftState, message: Message): boolean {
  const { type, term } = message;
  if (type === 'pre-vote' || type === 'vote') {
    const forced = type === 'vote' && message.force;
    if (term > state.term && !forced && isPromised(state)) return false;
  }
  if (term > state.term) {
    const future = type === 'pre-vote' || (type === 'pre-vote-reply' && message.granted);
    if (!future) becomeFollower(state, term, FROM_LEADER.has(type) ? message.from : null);
    return true;
  }
  if (term === state.term) return true;
  // A leader or candidate of the past learns the present term, or it would go on for ever.
  if (FROM_LEADER.has(type)) {
    send(state, message.from, { type: 'append-reply', index: 0, reject: true, hintIndex: 0, hintTerm: 0, at: 0 });
  } else if (type === 'pre-vote') send(state, message.from, { type: 'pre-vote-reply', granted: false });
  return false;
}

function hearLeader(state: RaftState, leader: string): void {
  const known = state.role === 'leader' ? state.id : state.leader;
  if (known !== null && known !== leader) throw new Error(`raft: ${leader} and ${known} both lead term ${state.term}`);
  if (state.role !== 'follower') becomeFollower(state, state.term, leader);
  state.leader = leader;
  state.electionElapsed = 0;
  state.leaderContact = 0;
}

function dispatch(state: RaftState, message: Message): void {
  switch (message.type) {
    case 'pre-vote': return onPreVote(state, message);
    case 'vote': return onVote(state, message);
    case 'pre-vote-reply':
    case 'vote-reply': return onVoteReply(state, message);
    case 'append': return onAppend(state, message);
    case 'append-reply': return onAppendReply(state, message);
    case 'heartbeat': return onHeartbeat(state, message);
    case 'heartbeat-reply': return onHeartbeatReply(state, message);
    case 'snapshot': return onSnapshot(state, message);
    case 'timeout-now': return campaign(state, true);
    case 'read':
      if (state.role === 'leader') addRead(state, message.context, message.from);
      return;
    case 'read-reply':
      state.readStates.push({ context: message.context, index: message.index });
  }
}
