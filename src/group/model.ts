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
  members: Record<string, MemberSpec>;
}

export interface ClusterSpec {
  cluster: string;
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
  | { kind: 'primary'; slots: string[]; synchronousNames: string }
  /** Follow `upstream`; attach by clone or base backup where there is no data of this incarnation. */
  | { kind: 'follow'; upstream: Endpoint; slot: string }
  /** Fence the predecessors and replay what they acknowledged, one after the other; only then accept writes. */
  | { kind: 'promote'; predecessors: Predecessor[]; synchronousNames: string }
  /** Write out dirty pages, so that the stop which follows is short; stay what it is. */
  | { kind: 'checkpoint' }
  /** Be stopped when no client is connected. `patient` waits for that moment; otherwise new clients are turned away at once. */
  | { kind: 'drain'; patient: boolean }
  /** Be stopped, at once but cleanly: clients are disconnected. */
  | { kind: 'stop' }
  /** Be gone: stopped, and what pgorbit made for it deleted. */
  | { kind: 'remove' };

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
  /** Rebuilds since it was last healthy: the next one waits longer. */
  rebuilds: number;
}

/** A change of primary that is under way. */
export interface Promotion {
  candidate: string;
  /**
   * Whom it takes over from, in the order in which they may have accepted writes: the old primary, then each candidate
   * whose promotion was given up (nobody knows how far it came). Empty when their storage is gone for good.
   */
  predecessors: Predecessor[];
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
  | { id: string; kind: 'promote'; to: string }
  | { id: string; kind: 'restart'; left: string[]; current: string | null }
  | { id: string; kind: 'reclone'; left: string[]; current: string | null; step: 'drain' | 'attach'; drainMs: number; cut: boolean };

/** How the last operations ended, newest first; what a waiting CLI looks for. */
export interface OperationResult {
  id: string;
  kind: Operation['kind'] | 'reload';
  ok: boolean;
  message: string;
}

export interface GroupRecord {
  group: string;
  /** PostgreSQL's system identifier, as a decimal string; null until the first member is made. */
  systemIdentifier: string | null;
  term: number;
  /** The one member that may accept writes in this term; null while there is none. */
  primary: string | null;
  promotion: Promotion | null;
  members: Record<string, MemberRecord>;
  operation: Operation | null;
  results: OperationResult[];
}

/** What a person may ask of a group; answered at once with an id, carried out by the deciding agent. */
export type OperateRequest =
  | { kind: 'switchover'; group: string; to: string | null }
  | { kind: 'promote'; group: string; member: string; force: boolean }
  /** `primaryFirst` where a limit is lowered that a standby must not be below: its replicas follow when they know of it. */
  | { kind: 'restart'; group: string; members: string[] | null; primaryFirst?: boolean }
  | { kind: 'reload'; group: string; members: string[] | null }
  | { kind: 'reclone'; group: string; members: string[] | null; drainMs: number };

// ---------------------------------------------------------------- observed: what a member's agent sees

export type MemberState =
  | 'creating' | 'attaching' | 'starting' | 'catching-up' | 'streaming' | 'running'
  | 'promoting' | 'stopping' | 'stopped' | 'fenced' | 'removing' | 'removed' | 'failed';

export interface MemberReport {
  group: string;
  member: string;
  host: string;
  /** The incarnation and term that the member's data directory carries; 0 when there is no data. */
  incarnation: number;
  term: number;
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
  /** A standby's last received and flushed position; null on a primary. */
  received: string | null;
  /** The upstream's `host:port` while the WAL receiver streams, else null. */
  streamingFrom: string | null;
  /** What a primary sees of those that stream from it. */
  followers: { name: string; replay: string | null; flush: string | null; synchronous: boolean }[];
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
  error: ErrorReport | null;
  /** How often in a row the current goal has failed. */
  failures: number;
}
