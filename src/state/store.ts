/**
 * The control plane's state: a few small JSON documents (the cluster's spec, one record a group), behind the four
 * verbs that any coordination service has. The agents' own implementations are beside this file; etcd could be one.
 */

export interface Versioned<T = unknown> {
  key: string;
  /** Grows with every change of any key; 0 never occurs. */
  revision: number;
  value: T;
}

export type CasResult = { ok: true; revision: number } | { ok: false; current: Versioned | null };

/** Who decides. `self` is true in the one process that may; a lost leadership is announced before another begins. */
export interface Leadership {
  leader: string | null;
  self: boolean;
  /** Raft's term, or 1 for ever where one agent decides. */
  term: number;
}

export interface StateStore {
  /** The newest committed document (linearizable). Throws PgorbitError `agent-unreachable` when it cannot be known. */
  read(key: string): Promise<Versioned | null>;
  /** All documents whose key starts with `prefix`, at one revision. */
  list(prefix: string): Promise<Versioned[]>;
  /**
   * Writes `value` when the key's revision still is `revision` (0: when it does not exist); null deletes.
   * Durable when the promise resolves.
   */
  compareAndSet(key: string, revision: number, value: unknown): Promise<CasResult>;
  /** Calls back with each change after the present state (which comes first). Returns how to stop it. */
  watch(prefix: string, onChange: (document: Versioned | { key: string; revision: number; value: null }) => void): () => void;
  leadership(): Leadership;
  onLeadership(onChange: (leadership: Leadership) => void): () => void;
}

/** The keys. */
export const SPEC_KEY = 'cluster';
export const SECRETS_KEY = 'secrets';
/** The cluster's certificate authority, its key too. */
export const AUTHORITY_KEY = 'ca';
/** Where each host's agent is reached. */
export const AGENTS_KEY = 'agents';
/** Hashes of the tokens that were given out. */
export const TOKENS_KEY = 'tokens';
/** What the cluster is to the other site, where it is one of two. */
export const SITE_KEY = 'site';
export const groupKey = (group: string): string => `group/${group}`;
