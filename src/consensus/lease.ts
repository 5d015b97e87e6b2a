/** The leader's lease in real time. Pure: times come in as arguments. */

/**
 * Remembers when each tick was counted. A message stamped with a tick was written after that time, so a lease that is
 * counted from there ends early rather than late, however long the process was frozen in between.
 */
export class TickTimes {
  readonly #keep: number;
  readonly #times = new Map<number, number>();

  /** @param keep ticks after which a time is forgotten */
  constructor(keep: number) {
    this.#keep = keep;
  }

  note(tick: number, now: number): void {
    this.#times.set(tick, now);
    this.#times.delete(tick - this.#keep);
  }

  /** When a lease of `ms` from `tick` on ends; -Infinity when the tick is unknown. */
  leaseEnd(tick: number | null, ms: number): number {
    const from = tick === null ? undefined : this.#times.get(tick);
    return from === undefined ? -Infinity : from + ms;
  }
}
