/** When to decide about a group again though nobody has said anything new: time alone may have brought something about. Pure. */
import { leaseOverMs, type DecisionInput } from './context.ts';

/** The longest rest. */
export const ROUND_MS = 1_000;
/** While somebody takes over, several waits end within a second. */
const PROMOTION_ROUND_MS = 100;

/** After how many ms the next decision is due: a round, or the moment at which somebody has been silent for long enough to be given up. */
export function restOfDecider({ spec, record, seen, now, leaderFor }: Pick<DecisionInput, 'spec' | 'record' | 'seen' | 'now' | 'leaderFor'>): number {
  if (record?.promotion != null) return PROMOTION_ROUND_MS;
  const patience = [leaseOverMs(spec), spec.electionTimeoutMs, spec.electionTimeoutMs + spec.electionDelayMs];
  const silences = [leaderFor, ...Object.values(seen).map(({ at }) => now - at)];
  const left = silences.flatMap((silence) => patience.map((ms) => Math.ceil(ms - silence)));
  return Math.min(ROUND_MS, ...left.filter((ms) => ms > 0));
}
