/** One difference between what is in force and what a manifest asks for, and how it is printed. */
export interface Change {
  op: '+' | '-' | '~';
  kind: 'cluster' | 'engine' | 'host' | 'volume' | 'group' | 'member';
  name: string;
  /** The group of a member, else null. */
  group: string | null;
  /** What differs of it (`port`, a setting's name, `storage`), or null when the whole of it comes or goes. */
  field: string | null;
  before: string | null;
  after: string | null;
  /** True for a PostgreSQL setting of a group: `field` is its name, null before or after means the engine's default. */
  setting: boolean;
  /** What it takes: nothing, a reload, restarts one by one, a switchover. */
  needs: 'nothing' | 'reload' | 'restart' | 'switchover';
  /** More about what comes or goes, in words: `replica on h2`. */
  detail: string | null;
  /** Set when it cannot be done in place: why, and what to do instead. Nothing may be applied then. */
  refused: { reason: string; instead: string } | null;
}

/** One line a change, two more for a refusal; empty for no change, else with a final newline. */
export function formatChanges(changes: readonly Change[]): string {
  return changes.map((change) => `${lineOf(change)}\n`).join('');
}

function lineOf(change: Change): string {
  const what = `${change.op} ${change.kind} ${change.name}`;
  const needs = change.refused ? 'refused' : change.needs === 'nothing' ? null : change.needs;
  const notes = [change.detail, needs].filter((note) => note !== null).join(', ');
  const values = change.field === null ? '' : `: ${change.field} ${change.before ?? '(default)'} → ${change.after ?? '(default)'}`;
  const line = `${what}${values}${notes === '' ? '' : ` (${notes})`}`;
  return change.refused ? `${line}\n    ${change.refused.reason}\n    instead: ${change.refused.instead}` : line;
}
