/** Elections: pre-vote, vote, and the promise to the present leader. */
import { lead } from './replication.ts';
import { becomeCandidate, becomeFollower, isOff, isVoter, send, voteResult, type RaftState } from './state.ts';
import type { Message } from './types.ts';

type Of<T extends Message['type']> = Extract<Message, { type: T }>;

/** A node that knows of a committed membership change it has not applied would count by the wrong majority. */
function confChangeWaits(state: RaftState): boolean {
  return state.log.slice(state.log.applied + 1, state.log.committed).some((entry) => entry.kind === 'conf');
}

export const mayCampaign = (state: RaftState): boolean =>
  isVoter(state) && state.role !== 'leader' && state.log.pendingSnapshot === null && !confChangeWaits(state);

/** Has this node promised a leader, by having heard it, to vote for nobody for now? */
export const isPromised = (state: RaftState): boolean =>
  !isOff(state, 'vote-promise') && (state.role === 'leader' || state.leaderContact < state.options.electionTicks);

/**
 * Asks for votes. The pre-vote changes no term anywhere, so that a node which cannot win (cut off, or behind) disturbs
 * nobody; `force` skips it, on the leader's own request.
 */
export function campaign(state: RaftState, force: boolean): void {
  if (!mayCampaign(state)) return;
  becomeCandidate(state, force ? 'candidate' : 'pre-candidate');
  if (!proceed(state)) requestVotes(state, force);
}

function requestVotes(state: RaftState, force: boolean): void {
  const position = { lastIndex: state.log.lastIndex, lastTerm: state.log.lastTerm };
  for (const id of state.conf.voters.filter((voter) => voter !== state.id)) {
    if (state.role === 'pre-candidate') send(state, id, { type: 'pre-vote', ...position }, state.term + 1);
    else send(state, id, { type: 'vote', ...position, force });
  }
}

/** Goes on when the votes decide it. Returns false while they do not. */
function proceed(state: RaftState): boolean {
  const result = voteResult(state);
  if (result === 'pending') return false;
  if (result === 'lost') becomeFollower(state, state.term, null);
  else if (state.role === 'candidate') lead(state);
  else {
    becomeCandidate(state, 'candidate');
    if (!proceed(state)) requestVotes(state, false);
  }
  return true;
}

const isUpToDate = (state: RaftState, { lastIndex, lastTerm }: Of<'pre-vote' | 'vote'>): boolean =>
  isOff(state, 'vote-log-check') || state.log.isUpToDate(lastIndex, lastTerm);

export function onPreVote(state: RaftState, message: Of<'pre-vote'>): void {
  const granted = message.term > state.term && state.conf.voters.length > 0 && isUpToDate(state, message);
  // A grant speaks of the term to come; a refusal tells our own, from which a candidate that is behind learns it.
  send(state, message.from, { type: 'pre-vote-reply', granted }, granted ? message.term : state.term);
}

export function onVote(state: RaftState, message: Of<'vote'>): void {
  // A node that knows of no group (new, or with its disk wiped) has no say in who leads one.
  const free = state.conf.voters.length > 0 && (state.vote === message.from || (state.vote === null && state.leader === null));
  const granted = free && isUpToDate(state, message);
  if (granted) {
    state.vote = message.from;
    state.electionElapsed = 0;
  }
  send(state, message.from, { type: 'vote-reply', granted });
}

export function onVoteReply(state: RaftState, message: Of<'pre-vote-reply' | 'vote-reply'>): void {
  const expected = message.type === 'vote-reply' ? 'candidate' : 'pre-candidate';
  if (state.role !== expected) return;
  // A grant for another term than the one we would campaign in is left over from an earlier attempt.
  if (message.type === 'pre-vote-reply' && message.granted && message.term !== state.term + 1) return;
  if (!state.votes.has(message.from)) state.votes.set(message.from, message.granted);
  proceed(state);
}
