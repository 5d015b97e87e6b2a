import { PgorbitError } from '../errors.ts';
import type { ClusterSpec } from '../group/model.ts';

/** One difference between what is in force and what a manifest asks for. */
export interface Change {
  op: '+' | '-' | '~';
  kind: 'cluster' | 'engine' | 'host' | 'volume' | 'group' | 'setting' | 'member';
  /** The host's, volume's, group's, member's or cluster's name; for a setting, the group's. */
  name: string;
  /** The group of a member or setting, else null. */
  group: string | null;
  /** What differs of it (`port`, `shared_buffers`), or null when the whole comes or goes. */
  field: string | null;
  before: string | null;
  after: string | null;
  /** What it takes: nothing, a reload, a restart of the member or of the group's members one by one, a switchover. */
  needs: 'nothing' | 'reload' | 'restart' | 'switchover';
  /** In words, for the parentheses of `+` and `-`. */
  detail: string | null;
  /** Set when it cannot be done in place: why, and what to do. */
  refused: { reason: string; instead: string } | null;
}

/** What turns `before` (null: nothing runs yet) into `after`, in the order in which a person reads it. Pure. */
export function diffSpecs(before: ClusterSpec | null, after: ClusterSpec): Change[] {
  throw new PgorbitError('internal', `no difference yet between ${before?.cluster} and ${after.cluster}`);
}

/** One line a change: `+ member n4 (replica on h2)`, `~ group main: shared_buffers 128MB → 256MB (restart)`. */
export function formatChanges(changes: readonly Change[]): string {
  return changes.map((c) => `${c.op} ${c.kind} ${c.name}\n`).join('');
}
