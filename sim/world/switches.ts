/**
 * What may be taken away from the model, one at a time, to see that the simulation notices. All true is the system as
 * it is. Rules of the decision are taken out by wrapping it: see bites.test.ts.
 */
export interface Rules {
  fence: boolean;
  replay: boolean;
  fenceMark: boolean;
  cgroup: boolean;
  markAgain: boolean;
  compareAndSet: boolean;
  lease: boolean;
  promiseFirst: boolean;
  promiseCuts: boolean;
  promiseDurable: boolean;
  current: boolean;
  catchUp: boolean;
  catchUpTimeline: boolean;
  wholeWal: boolean;
  ownTimelines: boolean;
  slotForLoggers: boolean;
  flushFirst: boolean;
  copyWithWal: boolean;
  removeOnce: boolean;
  sparesUsed: boolean;
  runnerByRole: boolean;
}

export const ALL_RULES: Rules = {
  /** A take-over kills its predecessor and marks its folder. */
  fence: true,
  /** A take-over replays to the last record on the volume. */
  replay: true,
  /** A start looks at the fence mark. */
  fenceMark: true,
  /** A start enters a cgroup that the fence has removed. */
  cgroup: true,
  /** A start looks at the fence mark once more when the server is up. */
  markAgain: true,
  /** The store compares before it sets. */
  compareAndSet: true,
  /** An agent that has lost its lease knows it. */
  lease: true,
  /** A promise is stored and the upstream cut before the position is read, not after. */
  promiseFirst: true,
  /** A promise waits until no WAL receiver is left. */
  promiseCuts: true,
  /** A promise survives a loss of power. */
  promiseDurable: true,
  /** An agent that has just begun obeys nothing before it knows the newest orders. */
  current: true,
  /** A candidate fetches what somebody else has more. */
  catchUp: true,
  /** It has fetched it when it is on its timeline, not when it has as much. */
  catchUpTimeline: true,
  /** A switchover's candidate has all that the old primary was stopped with. */
  wholeWal: true,
  /** A candidate begins the timeline that was handed out, and no other. */
  ownTimelines: true,
  /** A logger comes with a slot, so that it is not counted twice. */
  slotForLoggers: true,
  /** Standbys and loggers acknowledge what is flushed, not what is written. */
  flushFirst: true,
  /** A copy of another's data than the upstream's comes with the WAL that makes them whole. */
  copyWithWal: true,
  /** A member's files are removed once: what is in their place later is a namesake's. */
  removeOnce: true,
  /** Files that another host uses are not removed. */
  sparesUsed: true,
  /** What runs a logger ends where its namesake is a replica, and the other way round. */
  runnerByRole: true,
};
