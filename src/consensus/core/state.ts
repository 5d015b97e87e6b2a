/** One node's state, and the changes of role. Everything here is changed only by the functions of this folder. */
import { RaftLog } from './log.ts';
import { countVotes, majorityValue, members } from './membership.ts';
import { newProgress, type Progress } from './progress.ts';
import type { Conf, Message, MessageBody, RaftOptions, RaftRole, RaftStart, ReadState, Rule } from './types.ts';

export interface PendingRead {
  context: string;
  from: string;
  /** The commit index when the read arrived; null until the leader has committed an entry of its own term. */
  index: number | null;
  /** A heartbeat of this round or a later one, answered by a majority, shows that the leader still was one. */
  round: number;
}

export interface RaftState {
  readonly id: string;
  readonly options: RaftOptions;
  term: number;
  vote: string | null;
  leader: string | null;
  role: RaftRole;
  log: RaftLog;
  /** As of `log.applied`. */
  conf: Conf;
  /** Ticks since the start. */
  ticks: number;
  electionElapsed: number;
  electionDeadline: number;
  /**
   * Ticks since a leader was last heard. Until it reaches electionTicks this node votes for nobody: that is the
   * promise on which the leader's lease rests. It starts at 0 after a restart, for the promise may have been given
   * before it.
   */
  leaderContact: number;
  heartbeatElapsed: number;
  votes: Map<string, boolean>;
  /** The leader's view of every member, itself included. */
  progress: Map<string, Progress>;
  leaderSince: number;
  /** `sent`: timeout-now has left, so that this leader holds no lease any more in this term. */
  transfer: { to: string; elapsed: number; sent: boolean } | null;
  /** No membership change is proposed until everything up to here is applied. */
  pendingConfIndex: number;
  round: number;
  reads: PendingRead[];
  readStates: ReadState[];
  outbox: Message[];
}

export function newState(options: RaftOptions, start: RaftStart): RaftState {
  const log = new RaftLog(start.snapshot, start.entries, start.hardState.commit);
  const state: RaftState = {
    id: options.id, options,
    term: start.hardState.term, vote: start.hardState.vote, leader: null, role: 'follower',
    log, conf: start.snapshot.conf,
    ticks: 0, electionElapsed: 0, electionDeadline: 0,
    leaderContact: start.hardState.term === 0 ? options.electionTicks : 0,
    heartbeatElapsed: 0, votes: new Map(), progress: new Map(), leaderSince: 0, transfer: null,
    pendingConfIndex: 0, round: 0, reads: [], readStates: [], outbox: [],
  };
  state.electionDeadline = drawDeadline(state);
  return state;
}

const drawDeadline = (state: RaftState): number =>
  state.options.electionTicks + state.options.random(state.options.electionTicks);

export const isOff = (state: RaftState, rule: Rule): boolean => state.options.disabledRules?.has(rule) === true;

export const isVoter = (state: RaftState): boolean => state.conf.voters.includes(state.id);

export const others = (state: RaftState): string[] => members(state.conf).filter((id) => id !== state.id);

/** Puts a message into the outbox; it leaves after the state that it tells of is durable. */
export function send(state: RaftState, to: string, body: MessageBody, term: number = state.term): void {
  state.outbox.push({ from: state.id, to, term, ...body });
}

function reset(state: RaftState): void {
  state.electionElapsed = 0;
  state.electionDeadline = drawDeadline(state);
  state.heartbeatElapsed = 0;
  state.votes = new Map();
  state.progress = new Map();
  state.transfer = null;
  state.reads = [];
}

export function becomeFollower(state: RaftState, term: number, leader: string | null): void {
  reset(state);
  if (term > state.term) {
    state.term = term;
    state.vote = null;
  }
  state.role = 'follower';
  state.leader = leader;
}

export function becomeCandidate(state: RaftState, role: 'pre-candidate' | 'candidate'): void {
  reset(state);
  state.role = role;
  state.leader = null;
  if (role === 'candidate') {
    state.term += 1;
    state.vote = state.id;
  }
  state.votes.set(state.id, true);
}

/** Only the role: what a new leader then sends is replication's. */
export function becomeLeader(state: RaftState): void {
  reset(state);
  state.role = 'leader';
  state.leader = state.id;
  state.leaderSince = state.ticks;
  for (const id of members(state.conf)) state.progress.set(id, newProgress(state.log.lastIndex + 1));
  // A change of an earlier leader may still be waiting in the log.
  state.pendingConfIndex = state.log.lastIndex;
}

export const voteResult = (state: RaftState): ReturnType<typeof countVotes> => countVotes(state.conf, state.votes);

/** Has this leader committed an entry of its own term? Only then does it know what is committed. */
export const committedInTerm = (state: RaftState): boolean => state.log.term(state.log.committed) === state.term;

/** The newest tick at which a majority is known to have listened to this leader in this term; -Infinity before. */
export function majorityHeardAt(state: RaftState): number {
  return majorityValue(state.conf, (id) =>
    id === state.id ? state.ticks : state.progress.get(id)?.ackedAt ?? -Infinity);
}

/**
 * The tick from which the leader's lease counts, or null when there is none. A majority refuses its vote for
 * electionTicks after hearing the message written at that tick. Their ticks are not ours: the first may come at once
 * (one tick less), and clocks run at different speeds (another). So it lasts electionTicks - 2.
 */
export function leaseStart(state: RaftState): number | null {
  if (state.role !== 'leader' || state.transfer?.sent) return null;
  const heard = majorityHeardAt(state);
  return Number.isFinite(heard) ? heard : null;
}

export const leaseTicks = (options: Pick<RaftOptions, 'electionTicks'>): number => options.electionTicks - 2;
