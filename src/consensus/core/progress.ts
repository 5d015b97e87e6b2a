/**
 * What the leader knows of one follower, and how it is fed:
 *
 *   probe      where the logs meet is not known: one append at a time, until one is accepted
 *   replicate  appends are sent ahead of their replies, up to a window
 *   snapshot   the follower needs entries that are gone: nothing is sent until the snapshot is acknowledged or given up
 */
export interface Progress {
  /** The last entry known to be in the follower's durable log. */
  match: number;
  /** The next entry to send. */
  next: number;
  state: 'probe' | 'replicate' | 'snapshot';
  /** In `probe`: an append is under way. A heartbeat's reply clears it, in case the append was lost. */
  probeSent: boolean;
  /** In `replicate`: the last index of each append under way, oldest first. */
  inflight: number[];
  /** In `snapshot`: the leader's tick when the snapshot was sent. */
  snapshotAt: number;
  /** The leader's tick of the newest message that the follower has answered in this term; null before the first. */
  ackedAt: number | null;
  /** The newest round of read confirmation that the follower has answered. */
  ackedRound: number;
}

export function newProgress(next: number): Progress {
  return { match: 0, next, state: 'probe', probeSent: false, inflight: [], snapshotAt: 0, ackedAt: null, ackedRound: 0 };
}

export function isPaused(progress: Progress, maxInflight: number): boolean {
  switch (progress.state) {
    case 'probe': return progress.probeSent;
    case 'replicate': return progress.inflight.length >= maxInflight;
    case 'snapshot': return true;
  }
}

export function toProbe(progress: Progress): void {
  progress.state = 'probe';
  progress.next = progress.match + 1;
  progress.probeSent = false;
  progress.inflight = [];
}

/** Entries up to `last` were sent (or, with `last` null, an empty append). */
export function noteSent(progress: Progress, last: number | null): void {
  if (progress.state === 'probe') progress.probeSent = true;
  else if (last !== null) {
    progress.next = last + 1;
    progress.inflight.push(last);
  }
}

/** The follower has everything up to `index`. Returns false when that is old news. */
export function noteAccepted(progress: Progress, index: number): boolean {
  const news = index > progress.match || (progress.state === 'probe' && index === progress.match);
  if (!news) return false;
  progress.match = Math.max(progress.match, index);
  progress.next = Math.max(progress.next, index + 1);
  if (progress.state === 'replicate') progress.inflight = progress.inflight.filter((last) => last > index);
  else {
    progress.state = 'replicate';
    progress.next = progress.match + 1;
    progress.inflight = [];
  }
  return true;
}

/** The follower refused an append after `rejected`; `hint` is the last entry that may match. Returns false when stale. */
export function noteRejected(progress: Progress, rejected: number, hint: number): boolean {
  if (progress.state === 'snapshot') return false;
  if (progress.state === 'replicate') {
    if (rejected <= progress.match) return false;
    toProbe(progress);
    return true;
  }
  if (progress.next - 1 !== rejected) return false;
  progress.next = Math.max(Math.min(rejected, hint + 1), progress.match + 1);
  progress.probeSent = false;
  return true;
}
