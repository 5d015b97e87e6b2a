/**
 * The words of the control plane: what a manifest asks for (Spec), what the cluster has decided (Record), what
 * members say of themselves (Report). Plain JSON: all of it crosses processes and lies in the state store.
 */
import type { ErrorReport } from '../errors.ts';

export type Role = 'primary' | 'replica' | 'logger' | 'standby';
export type Storage = 'shared' | 'local';
export type Commit = 'async' | 'quorum';
export type DriverName = 'btrfs' | 'reflink' | 'copy';

// ---------------------------------------------------------------- desired: the manifest, normalised

export interface EngineSpec {
  kind: 'postgres';
  /** Major version, 15 to 18; null means the newest that is found, embedded last. */
  version: number | null;
  /** A folder with `postgres` and `initdb`, or null: searched for. */
  bin: string | null;
}

export interface HostSpec {
  name: string;
  address: string;
  /** The agent's port, or null: chosen when the agent is first started. */
  port: number | null;
}

export interface VolumeSpec {
  name: string;
  /** Absolute. */
  path: string;
  driver: DriverName | 'auto';
  /** Bytes of the image file, for a volume that pgorbit makes; null where the path already is a file system. */
  size: number | null;
}

export interface MemberSpec {
  name: string;
  host: string;
  role: Role;
  /** PostgreSQL's port, or null: chosen when the member is first made. */
  port: number | null;
  /** A standby's own volume, by name; null: the group's storage, or `path`. */
  volume: string | null;
  /** An absolute folder for a member whose storage is local; null: in the agent's home. */
  path: string | null;
  /** Whom a standby takes its WAL from while that one is there and well: a member's name or a role; null: the primary. */
  source: string | null;
  /** How fast a standby's base backup may be read, bytes a second; null: as fast as it goes. */
  rate: number | null;
}

/** How a group's loggers keep WAL. */
export interface LoggerSettings {
  /** False keeps everything. */
  purge: boolean;
  /** ms between looks at what may go. */
  purgeEveryMs: number;
  /** Bytes that are kept however old. */
  keepBytes: number;
  /** Beyond that, WAL younger than this many ms is kept as well, up to `maxBytes`. */
  keepMs: number;
  maxBytes: number;
  /** A follower that says nothing for this long is cut off, ms. */
  sendTimeoutMs: number;
  /** The largest WAL message to a follower, bytes. */
  packetBytes: number;
}

/** Where and how the cluster itself archives a group's WAL. */
export interface ArchiveSettings {
  /** A folder, absolute, and one and the same on all hosts that may archive; or `s3://BUCKET/PREFIX`. */
  to: string;
  /** Whose WAL while one of that role is there and well; null: a logger's where the group has one, else the primary's. */
  source: 'primary' | 'logger' | 'replica' | null;
  /** What has arrived of the segment that is not whole yet is made durable there this often, ms. */
  flushMs: number;
  /** The hosts that may archive; null: all that have a member of the group. */
  hosts: string[] | null;
}

export interface GroupSpec {
  name: string;
  storage: Storage;
  /** The volume's name for `storage: shared`, else null. */
  volume: string | null;
  commit: Commit;
  /** PostgreSQL settings by name; values as postgresql.conf takes them, unquoted. */
  settings: Record<string, string>;
  /** `automatic`: a dead primary is replaced at once. `manual`: it is restarted in place, and promoted over only by a person. */
  failover: 'automatic' | 'manual';
  /** The share of the data (0 to 1) that a replica may occupy alone before it is cloned again; 0 turns it off. */
  recloneAbove: number;
  /** `fast` or `spread` checkpoint before a clone. */
  checkpoint: 'fast' | 'spread';
  /** How long nothing may be heard of a primary's host before another takes over, ms. */
  electionTimeoutMs: number;
  /** A further wait before a lost primary is replaced, ms: one that comes back within it stays. */
  electionDelayMs: number;
  /** The member to which the primary's role goes back by itself once it keeps up, or null. */
  preferredPrimary: string | null;
  /** A change of the voters that is not confirmed within this time is taken back, ms. */
  membershipTimeoutMs: number;
  /** A new member votes when it lacks no more than this many bytes of WAL. */
  joinLagBytes: number;
  /** With `commit: async`: a replica that lacks more than this is not promoted by itself. */
  electableLagBytes: number;
  /** What a healthy primary does on local storage when its agent has lost the majority of the agents. */
  withoutMajority: 'stop' | 'run';
  logger: LoggerSettings;
  /** Null: the cluster archives nothing by itself. */
  archive: ArchiveSettings | null;
  members: Record<string, MemberSpec>;
}

export interface ClusterSpec {
  cluster: string;
  /** The cluster that this one began as a standby of; absent where it began by itself. Who is primary since is state. */
  standbyOf?: string;
  engine: EngineSpec;
  hosts: Record<string, HostSpec>;
  volumes: Record<string, VolumeSpec>;
  groups: Record<string, GroupSpec>;
}

/** The document at SECRETS_KEY. */
export interface SecretsDocument {
  /** The person's superuser. */
  superuser: Account;
  /** The agents' own superuser. */
  agent: Account;
  replication: Account;
  /** May read statistics and pgorbit's views, nothing else. */
  monitor: Account;
}
export interface Account {
  user: string;
  password: string;
}

// ---------------------------------------------------------------- decided: one document a group

/** Where a member's PostgreSQL listens. */
export interface Endpoint {
  member: string;
  address: string;
  port: number;
  /** The cluster that it belongs to, where that is another site: never one of this group's own members. */
  site?: string;
}

/** Whom a promotion takes over from: who may have accepted writes before. On a shared volume its data are at hand. */
export interface Predecessor {
  member: string;
  host: string;
}

/**
 * What the cluster wants of a member now. Each kind says what the member's agent has to bring about from whatever
 * state the member is in; how it gets there is decided in member.ts, step by step.
 */
export type Goal =
  /** Make the database system: initdb, start, be the primary of the group's first term. */
  | { kind: 'create' }
  /** Accept writes, with these slots and no others of pgorbit's. */
  | { kind: 'primary'; slots: string[]; synchronousNames: string; change: number }
  /**
   * Follow `upstream` under the name `name` (`n2@7`: the member and the term, so that what it acknowledges counts in
   * that term alone); attach by clone or base backup where there is no data of this incarnation. `base`: whose data a
   * base backup copies where the WAL is to come from a logger, which has none. `makesSlot`: the upstream is a logger, and
   * nobody but its follower makes the slot there. `slots`: those of members that follow this one. `rewindFrom`: whose files
   * put diverged data right where the upstream is a standby itself, which can't.
   * `synchronousNames`: it will take over in a moment, and runs with the names that it will need.
   */
  | { kind: 'follow'; upstream: Endpoint; slot: string; name: string; base?: Endpoint; rewindFrom?: Endpoint; makesSlot?: true; slots?: string[]; synchronousNames?: string }
  /**
   * Store the term, cut the upstream so that no acknowledgement of an older term can leave any more, and only then
   * read and report the position (MemberReport.promised). Follow nobody until told otherwise.
   */
  | { kind: 'promise' }
  /**
   * Shared storage: fence the predecessors and replay what they acknowledged, one after the other; only then accept
   * writes. Local storage: stream what `catchUp` has more, then accept writes on exactly the timeline `timeline`;
   * never without the WAL up to `atLeast`.
   */
  | { kind: 'promote'; predecessors: Predecessor[]; acceptLoss: boolean; synchronousNames: string; timeline: number | null; catchUp: CatchUp | null; atLeast: WalPosition | null; slots: string[] }
  /** Write out dirty pages, so that the stop which follows is short; stay what it is. */
  | { kind: 'checkpoint' }
  /** Be stopped when no client is connected. `patient` waits for that moment; otherwise new clients are turned away at once. */
  | { kind: 'drain'; patient: boolean }
  /** Be stopped, at once but cleanly: clients are disconnected. */
  | { kind: 'stop' }
  /** Be gone: stopped, and what pgorbit made for it deleted. */
  | { kind: 'remove' };

/** A position in WAL. */
export interface WalPosition {
  timeline: number;
  /** `X/Y` */
  lsn: string;
}

/** Where a timeline parts from its parent. */
export interface TimelineBegin {
  timeline: number;
  /** `X/Y` */
  begin: string;
}

/** Up to where a candidate has to stream before it accepts writes, and from whom. */
export interface CatchUp extends WalPosition {
  upstream: Endpoint;
}

export interface MemberRecord {
  name: string;
  host: string;
  address: string;
  port: number;
  role: Role;
  /** Counts the member's data directories: a higher number than the one on disk means "make it anew". */
  incarnation: number;
  /** Counts wanted restarts: a running postgres that was started for a lower number is restarted. */
  restarts: number;
  /** Counts wanted reloads of the configuration, likewise. */
  reloads: number;
  goal: Goal;
  /** True from the first time that the member was healthy in this incarnation. */
  joined: boolean;
  /** The last term in which its WAL was known to be a beginning of the primary's: in others it follows without a vote. */
  provenIn: number;
  /** Rebuilds since it was last healthy: the next one waits longer. */
  rebuilds: number;
  /** How this incarnation is made where there are data of an earlier one: those put right, or a fresh copy. */
  renewal: 'rewind' | 'fresh';
}

/** A change of primary that is under way. */
export interface Promotion {
  /**
   * `promise` (local storage only): the voters promise this term and say what they have; nobody is promoted yet.
   * `promote`: the candidate is chosen and takes over.
   */
  phase: 'promise' | 'promote';
  /** In the phase `promise` whoever is wished for; what the voters say decides. */
  candidate: string;
  /** The timeline that the candidate has to begin, so that no two ever begin the same; null on shared storage. */
  timeline: number | null;
  catchUp: CatchUp | null;
  /**
   * Where the predecessor's WAL ends, which was stopped cleanly: whoever has that has everything, and nobody need be
   * asked. Null where the voters' promises say who has what, and on shared storage.
   */
  atLeast: WalPosition | null;
  /**
   * Whom it takes over from, in the order in which they may have accepted writes: the old primary, then each candidate
   * whose promotion was given up (nobody knows how far it came). Empty when their storage is gone for good.
   */
  predecessors: Predecessor[];
  /** Who accepted writes before it began; null where nobody did here. */
  primary: string | null;
  /** Shared storage: a person gave up what can't be read of the predecessors' WAL. Holds for this candidate, not for the next one. */
  acceptLoss: boolean;
  /** A switchover: the predecessor was stopped cleanly and comes back without a rebuild. */
  planned: boolean;
  /** Candidates that were given up so far: each further try waits longer. */
  attempts: number;
  /** The operation that asked for it, or null for a failover. */
  operation: string | null;
}

/** A longer undertaking that a person asked for. At most one a group runs at a time. */
export type Operation =
  | { id: string; kind: 'switchover'; from: string; to: string; step: 'checkpoint' | 'stop' | 'promote' }
  | { id: string; kind: 'promote'; to: string; acceptLoss: boolean }
  | { id: string; kind: 'restart'; left: string[]; current: string | null }
  | { id: string; kind: 'reclone'; left: string[]; current: string | null; step: 'drain' | 'attach'; drainMs: number; cut: boolean };

/** How the last operations ended, newest first; what a waiting CLI looks for. */
export interface OperationResult {
  id: string;
  kind: Operation['kind'] | 'reload';
  ok: boolean;
  message: string;
}

/** A change of the voters that is under way: until it is confirmed both sets have to agree to an election. */
export interface VoterChange {
  /** Which change this is, taken-back ones counted: the primary says which one it obeys. */
  number: number;
  to: string[];
  /** The primary's position when it was first seen to ask the new set; null before. Confirmed when that set has it. */
  lsn: string | null;
}

/** Who archives the group's WAL: one host's archiver at a time. */
export interface ArchiveRecord {
  /** Counts what was assigned so far: an archiver of a lower number is shut out of the repository. */
  epoch: number;
  /** Null while nobody is to archive. */
  host: string | null;
  /** As in ArchiveSettings. */
  to: string;
  /** Something lies there: from now on a repository that is missing (a disk that is not mounted, say) is not made anew. */
  begun: boolean;
  /** Hosts given up in a row because the repository can't be used from them: each next one is waited for longer. */
  attempts: number;
  /** Whose WAL to take, in this order: the first that answers and has what is due. */
  sources: Endpoint[];
}

export interface GroupRecord {
  group: string;
  /** PostgreSQL's system identifier, as a decimal string; null until the first member is made. */
  systemIdentifier: string | null;
  term: number;
  /** The one member that may accept writes in this term; null while there is none. On a standby site the one that leads. */
  primary: string | null;
  /** The group follows its namesake of the other site: `primary` accepts no writes, it takes the WAL over from there. */
  standbySite?: true;
  promotion: Promotion | null;
  /** Who votes, by name, the primary among them: replicas and loggers of `commit: quorum` that keep up. */
  voters: string[];
  voterChange: VoterChange | null;
  /** The changes of the voters so far. */
  voterChanges: number;
  /** Where each timeline that a promotion began parts from its parent, oldest first. */
  timelines: TimelineBegin[];
  members: Record<string, MemberRecord>;
  /** Not there where nothing was ever archived by the cluster. */
  archive?: ArchiveRecord;
  operation: Operation | null;
  results: OperationResult[];
}

/** What a person may ask of a group; answered at once with an id, carried out by the deciding agent. */
export type OperateRequest =
  | { kind: 'switchover'; group: string; to: string | null }
  /** `acceptLoss`: what can't be read of the old primary's WAL is given up; also while a promotion that needs it is tried. */
  | { kind: 'promote'; group: string; member: string; force: boolean; acceptLoss?: boolean }
  /** `primaryFirst` where a limit is lowered that a standby must not be below: its replicas follow when they know of it. */
  | { kind: 'restart'; group: string; members: string[] | null; primaryFirst?: boolean }
  | { kind: 'reload'; group: string; members: string[] | null }
  | { kind: 'reclone'; group: string; members: string[] | null; drainMs: number };

// ---------------------------------------------------------------- observed: what a member's agent sees

export type MemberState =
  | 'creating' | 'attaching' | 'starting' | 'catching-up' | 'streaming' | 'running'
  | 'promoting' | 'stopping' | 'stopped' | 'fenced' | 'removing' | 'removed' | 'failed';

export interface Follower {
  name: string;
  term: number | null;
  replay: string | null;
  flush: string | null;
  synchronous: boolean;
}

export interface MemberReport {
  group: string;
  member: string;
  host: string;
  /** The incarnation and term that the member's data directory carries; 0 when there is no data. */
  incarnation: number;
  term: number;
  /** Its agent has looked, knows the present orders, and there is no data. */
  empty: boolean;
  /** The `restarts` number that the running postgres was started for. */
  restarts: number;
  state: MemberState;
  /** What is being done just now, in words, or null. */
  step: string | null;
  /** The postmaster's process id while it lives. */
  pid: number | null;
  /** True while the postmaster lives and accepts SQL. */
  ready: boolean;
  /** From pg_is_in_recovery(); null when not known. */
  inRecovery: boolean | null;
  systemIdentifier: string | null;
  timeline: number | null;
  /** A primary's write position, a standby's replay position; `X/Y`. */
  lsn: string | null;
  /** The end of what a standby is known to have received and flushed; null on a primary. */
  received: string | null;
  /** The upstream's `host:port` while the WAL receiver streams, else null. */
  streamingFrom: string | null;
  /** ms since its upstream last said something, while the WAL receiver streams. */
  heardMs: number | null;
  /** The first WAL position that a logger has; null with other members, which keep what their slots hold. */
  oldest: string | null;
  /** How much WAL each of pgorbit's slots here keeps from being recycled, bytes by the slot's name. */
  retained: Record<string, number>;
  /** What a primary sees of those that stream from it; `term` from the name that they came under, null where it has none. */
  followers: Follower[];
  /** The newest promise that is stored, and what the member had when no older acknowledgement could leave any more. */
  promised: ({ term: number } & WalPosition) | null;
  /** What a primary runs with just now. */
  synchronousNames: string | null;
  /** The change of the voters with whose names a primary runs. */
  change: number | null;
  /** Of a running primary's timeline and its ancestors, but for the first of all; null where it is not known. */
  history: TimelineBegin[] | null;
  /** Replication delay of a standby in ms, 0 when it has replayed all it received; null when not known. */
  lagMs: number | null;
  synchronous: boolean;
  /** Settings that wait for a restart. */
  pendingRestart: string[];
  /** The goal that was carried out last, whole: what a decider waits for. */
  reached: Goal['kind'] | null;
  /** The record's term that the agent acted upon when it wrote this. */
  goalTerm: number;
  /** Sessions of clients, pgorbit's own not counted. */
  sessions: number | null;
  /** True when the last stop was a clean shutdown (from pg_control). */
  cleanStop: boolean | null;
  /** The end of the WAL of a primary that was stopped cleanly because its goal is `stop`, else null. */
  stoppedAt: WalPosition | null;
  error: ErrorReport | null;
  /** How often in a row the current goal has failed. */
  failures: number;
}

/** How far a group's WAL is archived. */
export interface ArchiveProgress {
  /** The member whose WAL comes in, or came last. */
  source: string | null;
  timeline: number | null;
  /** Everything before it is durable in the repository; `X/Y`. */
  lsn: string | null;
  /** The newest segment of which something is there. */
  segment: string | null;
  /** WAL that nobody had any more: what was backed up before it can't be restored beyond it. Null once there is a newer backup. */
  gap: ArchiveGap | null;
}

/** What the agent of the host that archives says of its archiver. */
export interface ArchiveReport extends ArchiveProgress {
  group: string;
  host: string;
  /** Of the assignment that this is about; 0 while the agent knows of none. */
  epoch: number;
  pid: number | null;
  /** `waiting`: nothing comes, `error` says why; `stopped`: the process does not run. */
  state: 'starting' | 'streaming' | 'waiting' | 'stopped';
  /** How old the oldest WAL is, at most, that the source has and the repository lacks, ms; 0 when that has all. */
  behindMs: number | null;
  error: ErrorReport | null;
}

export interface ArchiveGap {
  timeline: number;
  /** `X/Y`: the first position that is missing, and the first that is there again. */
  from: string;
  to: string;
}
