/** What each figure is to be, and what today's tools need for it. */
import type { Row } from '../lib/bench.ts';
import { median, significant } from '../lib/stats.ts';

export type Figure = 'postgres killed' | 'host frozen' | 'host lost' | 'host of the leading agent lost' | 'switchover' | 'old primary back' | 'empty folder to healthy';

/**
 * Seconds. The others' figures: three nodes of PostgreSQL 15 on one machine of two cores, one client that inserts ids
 * with one commit each through a multi-host URI, the longest gap between acknowledged commits, medians of three. Patroni
 * 3.0.2 and 4.1.4 (etcd of three), pg_auto_failover, repmgr 5.3.3; "tuned" is ttl 20, loop 2, retry 5 for Patroni and
 * three tries a second apart for repmgr.
 */
export const GOALS: Record<Figure, { goal: number; others: string }> = {
  'postgres killed': { goal: 0.8, others: 'repmgr tuned 2.9, Patroni tuned 5.3 to 6.3, defaults 8 to 52' },
  'host frozen': { goal: 4, others: 'repmgr tuned 14.5 with hundreds lost, Patroni tuned 22.9' },
  'host lost': { goal: 4, others: 'repmgr tuned 2.8 (asynchronous), Patroni tuned 20' },
  'host of the leading agent lost': { goal: 4, others: 'as above' },
  switchover: { goal: 0.35, others: 'repmgr 1.2, Patroni 1.5' },
  'old primary back': { goal: 3, others: 'pg_auto_failover 4 to 9, Patroni 6 to 21' },
  'empty folder to healthy': { goal: 20, others: 'Patroni 6 starts and 23, pg_auto_failover 8 commands and 39' },
};

/** One row: the median of `values` (seconds) beside its goal. Pure. */
export function goalRow(figure: Figure, values: readonly number[]): Row {
  const { goal, others } = GOALS[figure];
  const value = significant(median(values));
  return { figure, rounds: values.length, median: value, least: Math.min(...values), worst: Math.max(...values), goal, met: value !== null && value < goal, others };
}
