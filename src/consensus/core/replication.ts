/** How entries and snapshots go from the leader to the others, and when they are committed. */
import { changeConf, majorityValue } from './membership.ts';
import { isPaused, newProgress, noteAccepted, noteRejected, noteSent, toProbe } from './progress.ts';
import { releaseReads } from './reads.ts';
import { becomeFollower, becomeLeader, isOff, isVoter, others, send, type RaftState } from './state.ts';
import type { ConfChange, Entry, Message } from './types.ts';

type Of<T extends Message['type']> = Extract<Message, { type: T }>;

// ---------------------------------------------------------------- leader

export function lead(state: RaftState): void {
  becomeLeader(state);
  appendEntry(state, 'empty', '');
}

export function appendEntry(state: RaftState, kind: Entry['kind'], data: string): Entry {
  const entry: Entry = { index: state.log.lastIndex + 1, term: state.term, kind, data };
  state.log.append(entry);
  broadcastAppend(state);
  return entry;
}

function broadcastAppend(state: RaftState): void {
  for (const id of others(state)) sendAppend(state, id, true);
}

export function broadcastHeartbeat(state: RaftState): void {
  state.heartbeatElapsed = 0;
  for (const id of others(state)) {
    const match = state.progress.get(id)?.match ?? 0;
    send(state, id, { type: 'heartbeat', commit: Math.min(match, state.log.committed), at: state.ticks, round: state.round });
  }
}

/** Sends what `to` lacks, or nothing while it is paused. Returns whether something was sent. */
function sendAppend(state: RaftState, to: string, evenEmpty: boolean): boolean {
  const progress = state.progress.get(to);
  if (progress === undefined || isPaused(progress, state.options.maxInflight)) return false;
  const prevIndex = progress.next - 1;
  const prevTerm = state.log.term(prevIndex);
  if (prevTerm === undefined) {
    progress.state = 'snapshot';
    progress.snapshotAt = state.ticks;
    send(state, to, { type: 'snapshot', snapshot: state.log.snapshot, at: state.ticks });
    return true;
  }
  const entries = state.log.batch(progress.next, state.options.maxBatch);
  if (entries.length === 0 && !evenEmpty) return false;
  noteSent(progress, entries.at(-1)?.index ?? null);
  send(state, to, { type: 'append', prevIndex, prevTerm, entries, commit: state.log.committed, at: state.ticks });
  return true;
}

/**
 * Commits what a majority has, and tells everyone; returns whether it did. Only an entry of this term is counted;
 * earlier ones follow with it (Raft paper, 5.4.2).
 */
function maybeCommit(state: RaftState): boolean {
  const index = majorityValue(state.conf, (id) => state.progress.get(id)?.match ?? 0);
  if (index <= state.log.committed) return false;
  if (state.log.term(index) !== state.term && !isOff(state, 'commit-own-term')) return false;
  state.log.commitTo(index);
  releaseReads(state);
  broadcastAppend(state);
  return true;
}

/** The leader's own entries count once they are durable. */
export function noteStable(state: RaftState): void {
  const own = state.progress.get(state.id);
  if (state.role !== 'leader' || own === undefined) return;
  own.match = state.log.stable;
  own.next = own.match + 1;
  maybeCommit(state);
}

export function onAppendReply(state: RaftState, message: Of<'append-reply'>): void {
  const progress = state.progress.get(message.from);
  if (state.role !== 'leader' || progress === undefined) return;
  progress.ackedAt = Math.max(progress.ackedAt ?? 0, message.at);
  if (message.reject) {
    const hint = state.log.lastAtOrBelowTerm(message.hintIndex, message.hintTerm);
    if (noteRejected(progress, message.index, hint)) sendAppend(state, message.from, true);
    return;
  }
  const paused = isPaused(progress, state.options.maxInflight);
  if (noteAccepted(progress, message.index)) {
    const told = maybeCommit(state);
    // What piled up while it was paused goes out; with nothing to send, the commit index that it missed.
    if (paused && !told) sendAppend(state, message.from, true);
    while (sendAppend(state, message.from, false));
  }
  continueTransfer(state);
}

export function onHeartbeatReply(state: RaftState, message: Of<'heartbeat-reply'>): void {
  const progress = state.progress.get(message.from);
  if (state.role !== 'leader' || progress === undefined) return;
  progress.ackedAt = Math.max(progress.ackedAt ?? 0, message.at);
  progress.ackedRound = Math.max(progress.ackedRound, message.round);
  progress.probeSent = false;
  if (progress.state === 'snapshot' && state.ticks - progress.snapshotAt >= state.options.electionTicks) toProbe(progress);
  // An append may have been lost: the next one, empty if need be, brings the gap to light.
  if (progress.inflight.length >= state.options.maxInflight) progress.inflight.shift();
  if (progress.match < state.log.lastIndex) sendAppend(state, message.from, true);
  releaseReads(state);
}

// ---------------------------------------------------------------- leader transfer

/** Hands over to `to` as soon as it has everything. Nothing is proposed meanwhile. */
export function startTransfer(state: RaftState, to: string): boolean {
  if (state.role !== 'leader' || to === state.id || !state.conf.voters.includes(to)) return false;
  if (state.transfer !== null) return state.transfer.to === to;
  state.transfer = { to, elapsed: 0, sent: false };
  if (!continueTransfer(state)) sendAppend(state, to, true);
  return true;
}

function continueTransfer(state: RaftState): boolean {
  const transfer = state.transfer;
  if (transfer === null || transfer.sent || state.progress.get(transfer.to)?.match !== state.log.lastIndex) return false;
  transfer.sent = true;
  send(state, transfer.to, { type: 'timeout-now' });
  return true;
}

// ---------------------------------------------------------------- follower

export function onAppend(state: RaftState, message: Of<'append'>): void {
  const reply = (index: number): void =>
    send(state, message.from, { type: 'append-reply', index, reject: false, hintIndex: 0, hintTerm: 0, at: message.at });
  const { log } = state;
  if (message.prevIndex < log.committed) return reply(log.committed);
  if (log.matches(message.prevIndex, message.prevTerm)) {
    const last = log.merge(message.prevIndex, message.entries);
    log.commitTo(Math.min(message.commit, last));
    return reply(last);
  }
  const hintIndex = log.lastAtOrBelowTerm(Math.min(message.prevIndex, log.lastIndex), message.prevTerm);
  send(state, message.from, {
    type: 'append-reply', index: message.prevIndex, reject: true, hintIndex, hintTerm: log.term(hintIndex) ?? 0, at: message.at,
  });
}

export function onHeartbeat(state: RaftState, message: Of<'heartbeat'>): void {
  state.log.commitTo(message.commit);
  send(state, message.from, { type: 'heartbeat-reply', at: message.at, round: message.round });
}

export function onSnapshot(state: RaftState, message: Of<'snapshot'>): void {
  const { log } = state;
  const { snapshot } = message;
  if (snapshot.index > log.committed) {
    if (log.matches(snapshot.index, snapshot.term)) log.commitTo(snapshot.index);
    else {
      log.restore(snapshot);
      state.conf = snapshot.conf;
    }
  }
  send(state, message.from, { type: 'append-reply', index: log.committed, reject: false, hintIndex: 0, hintTerm: 0, at: message.at });
}

// ---------------------------------------------------------------- membership

/**
 * A change is in force once it is applied. Two memberships in use at a time are always neighbours: a leader proposes
 * the next only after it has applied the last, and its proposal tells every receiver that the last is committed.
 */
export function applyConfChange(state: RaftState, change: ConfChange): void {
  const conf = changeConf(state.conf, change);
  if (conf === null) return;
  state.conf = conf;
  if (state.role !== 'leader') return;
  if (!isVoter(state)) {
    // Tell the rest that the change is committed, or they might need this node's vote once more.
    broadcastAppend(state);
    becomeFollower(state, state.term, null);
    return;
  }
  if (change.op === 'remove') state.progress.delete(change.id);
  if (change.op === 'add-learner') state.progress.set(change.id, newProgress(state.log.lastIndex + 1));
  if (state.transfer !== null && !conf.voters.includes(state.transfer.to) && !state.transfer.sent) state.transfer = null;
  if (!maybeCommit(state)) broadcastAppend(state);
}
