/** One line of the cluster's story. `pgorbit events` merges what every agent kept. */
export interface OrbitEvent {
  /** ISO 8601 with ms, the host's wall clock: for people; nothing is decided by it. */
  time: string;
  /** Counts within one agent, so that a follower can ask for what came after. */
  sequence: number;
  host: string;
  group: string | null;
  member: string | null;
  level: 'info' | 'warning' | 'error';
  /** Stable word for scripts: `member-joined`, `primary-lost`, `promoted`, … */
  kind: string;
  message: string;
  /** The operation it belongs to, or null. */
  operation: string | null;
}

/** What a decision says happened; the agent adds time, sequence and host. */
export type EventDraft = Pick<OrbitEvent, 'level' | 'kind' | 'message'> &
  Partial<Pick<OrbitEvent, 'group' | 'member' | 'operation'>>;
