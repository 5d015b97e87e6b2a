/** How long a member's agent rests between two looks while there is nothing to do. Pure. */
import { ARCHIVE_SLOT } from '../decide/goals.ts';
import { HEARD_MS } from '../decide/promotion.ts';
import { followsByTerm } from '../decide/quorum.ts';
import type { Goal } from '../model.ts';
import { WAITING_MS } from './loop.ts';

/** When all is well, and while somebody is about to do something that whoever decides waits for. ms */
export const IDLE_MS = 2_000;
const EXPECTING_MS = 200;
/** For so long after a change of the voters it is looked for what they have flushed: that confirms it. ms */
const CONFIRMING_MS = 3_000;

/**
 * @param followers how many stream from it
 * @param changedFor how long its goal has asked for the present voters, ms
 */
export function restAsPrimary(goal: Extract<Goal, { kind: 'primary' }>, followers: number, changedFor: number): number {
  const awaited = goal.slots.filter((slot) => slot !== ARCHIVE_SLOT).length;
  return followers < awaited || changedFor < CONFIRMING_MS ? EXPECTING_MS : IDLE_MS;
}

/**
 * Whoever decides counts on what this member hears: it learns of a silence when that is long enough, not two seconds later.
 * One that has no vote yet has it as soon as it is seen on the primary's timeline.
 * @param heardMs since the upstream last said something
 */
export function restAsFollower(goal: Extract<Goal, { kind: 'follow' }>, heardMs: number | null): number {
  return Math.min(followsByTerm(goal.name) ? IDLE_MS : EXPECTING_MS, Math.max(WAITING_MS, HEARD_MS - (heardMs ?? 0)));
}
