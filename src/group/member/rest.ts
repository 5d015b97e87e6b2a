/** How long a primary's agent rests between two looks while there is nothing to do. Pure. */
import { ARCHIVE_SLOT } from '../decide/goals.ts';
import type { Goal } from '../model.ts';

/** When all is well, and while others are about to do something that whoever decides waits for. ms */
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
