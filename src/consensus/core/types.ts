/**
 * The words of the Raft core. All of it is plain data: it crosses processes as JSON (see ../wire.ts, which pins the
 * shape) and lies in the durable log. Indexes count from 1, terms from 1; 0 means "none yet". Time is ticks.
 */

export interface Entry {
  index: number;
  term: number;
  /** `data` is the application's, `conf` a ConfChange as JSON, `empty` what a new leader writes to commit its predecessors' entries. */
  kind: 'data' | 'conf' | 'empty';
  data: string;
}

/** Who belongs to the group; both lists sorted, and disjoint. */
export interface Conf {
  voters: string[];
  /** Receive the log, never vote and never count. */
  learners: string[];
}

/** One step of membership: a voter comes in as a learner first. */
export interface ConfChange {
  op: 'add-learner' | 'promote' | 'remove';
  id: string;
}

/** The application's state after entry `index`, and the membership in force there. */
export interface Snapshot {
  index: number;
  term: number;
  conf: Conf;
  data: string;
}

/** What must be durable before a message of the same Ready leaves. */
export interface HardState {
  term: number;
  /** Whom this node voted for in `term`. */
  vote: string | null;
  /** Known to be committed. May be stale after a crash, except where Ready.mustSync said otherwise. */
  commit: number;
}

interface Header {
  from: string;
  to: string;
  /** The sender's term; a pre-vote and its grant carry the term that the candidate would campaign in. */
  term: number;
}

export type MessageBody =
  | { type: 'pre-vote'; lastIndex: number; lastTerm: number }
  | { type: 'pre-vote-reply'; granted: boolean }
  /** `force`: the leader itself asked for this election, so the promise to it does not hold. */
  | { type: 'vote'; lastIndex: number; lastTerm: number; force: boolean }
  | { type: 'vote-reply'; granted: boolean }
  /** `at`: the leader's tick when it wrote the message; replies bring it back, and the lease is reckoned from it. */
  | { type: 'append'; prevIndex: number; prevTerm: number; entries: Entry[]; commit: number; at: number }
  /** `index`: the last entry known to match, or with `reject` the `prevIndex` refused; the hint is where to go on probing. */
  | { type: 'append-reply'; index: number; reject: boolean; hintIndex: number; hintTerm: number; at: number }
  /** `round`: the newest round of read-index confirmation. */
  | { type: 'heartbeat'; commit: number; at: number; round: number }
  | { type: 'heartbeat-reply'; at: number; round: number }
  | { type: 'snapshot'; snapshot: Snapshot; at: number }
  | { type: 'timeout-now' }
  | { type: 'read'; context: string }
  | { type: 'read-reply'; context: string; index: number };

export type Message = Header & MessageBody;

/** A linearizable read asked for as `context` may be answered once entry `index` is applied. */
export interface ReadState {
  context: string;
  index: number;
}

/**
 * What the driver has to do, in this order: make `snapshot`, `hardState` and `entries` durable, send `messages`,
 * restore `snapshot`, apply `committed`, answer `readStates`; then call advance().
 */
export interface Ready {
  /** Only when it changed. */
  hardState: HardState | null;
  /** To append; an entry replaces the one at its index and everything after it. */
  entries: Entry[];
  /** Received from the leader: replaces state and log. */
  snapshot: Snapshot | null;
  messages: Message[];
  committed: Entry[];
  readStates: ReadState[];
  /** False when only a commit index moved, which a crash may forget. */
  mustSync: boolean;
}

export type RaftRole = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

/** Safety rules that a test may switch off to see that the properties notice. Never set elsewhere. */
export type Rule = 'vote-log-check' | 'commit-own-term' | 'vote-promise' | 'read-quorum';

export interface RaftOptions {
  id: string;
  /** Ticks without a leader after which an election begins, drawn from [electionTicks, 2 * electionTicks); at least 4. */
  electionTicks: number;
  /** Ticks between heartbeats; fewer than electionTicks. */
  heartbeatTicks: number;
  /** A whole number in [0, limit): the only randomness there is. */
  random: (limit: number) => number;
  /** Characters of entry data in one append message, beyond the first entry. */
  maxBatch: number;
  /** Append messages under way to one follower. */
  maxInflight: number;
  /** Test only. */
  disabledRules?: ReadonlySet<Rule>;
}

/** What lay in the durable log when the node started. */
export interface RaftStart {
  hardState: HardState;
  snapshot: Snapshot;
  /** Contiguous; those at or below the snapshot's index are ignored. */
  entries: Entry[];
}

export const EMPTY_SNAPSHOT: Snapshot = { index: 0, term: 0, conf: { voters: [], learners: [] }, data: '' };
export const EMPTY_HARD_STATE: HardState = { term: 0, vote: null, commit: 0 };
