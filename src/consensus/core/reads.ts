/**
 * Linearizable reads without a log entry (Raft dissertation, 6.4): the leader notes its commit index, shows by a round
 * of heartbeats that it still is the leader, and then anyone who has applied up to that index may answer.
 */
import { majorityValue } from './membership.ts';
import { broadcastHeartbeat } from './replication.ts';
import { committedInTerm, isOff, send, type PendingRead, type RaftState } from './state.ts';

/** Asks for a read on behalf of `from`. Lost when the leader changes: the asker tries again. */
export function addRead(state: RaftState, context: string, from: string): void {
  state.round += 1;
  state.reads.push({ context, from, index: committedInTerm(state) ? state.log.committed : null, round: state.round });
  releaseReads(state);
  if (state.reads.length > 0) broadcastHeartbeat(state);
}

/** Answers the reads whose round a majority has confirmed. */
export function releaseReads(state: RaftState): void {
  if (state.role !== 'leader' || !committedInTerm(state)) return;
  const confirmed = isOff(state, 'read-quorum') ? Infinity : majorityValue(state.conf, (id) =>
    id === state.id ? Infinity : state.progress.get(id)?.ackedRound ?? 0);
  const waiting: PendingRead[] = [];
  for (const read of state.reads) {
    read.index ??= state.log.committed;
    if (read.round > confirmed) waiting.push(read);
    else if (read.from === state.id) state.readStates.push({ context: read.context, index: read.index });
    else send(state, read.from, { type: 'read-reply', context: read.context, index: read.index });
  }
  state.reads = waiting;
}
