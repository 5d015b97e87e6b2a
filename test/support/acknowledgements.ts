/** What a client was promised, and when. Pure; times are ms of one monotonic clock. */

export interface Acknowledgement {
  id: number;
  at: number;
  /** When the connection that it came through was opened. */
  openedAt: number;
}

export class Acknowledgements {
  readonly #all: Acknowledgement[] = [];

  /** In the order in which they arrive. */
  add(one: Acknowledgement): void {
    this.#all.push(one);
  }

  get count(): number {
    return this.#all.length;
  }

  /** How many came from `from` on and before `to`. */
  countBetween(from: number, to: number): number {
    return this.#all.filter(({ at }) => at >= from && at < to).length;
  }

  /** The longest time between two in a row, of those from `from` to `to`; and when it began. 0 with fewer than two. */
  longestGap(from = -Infinity, to = Infinity): { ms: number; at: number } {
    let longest = { ms: 0, at: 0 };
    let before: number | undefined;
    for (const { at } of this.#all) {
      if (at < from || at > to) continue;
      if (before !== undefined && at - before > longest.ms) longest = { ms: at - before, at: before };
      before = at;
    }
    return longest;
  }

  /**
   * The first that came through a connection opened after `time`; null while there is none. Backends of a postmaster
   * that was killed may still answer for a moment: what they say is promised, but it is no new primary.
   */
  firstOnNewConnection(time: number): Acknowledgement | null {
    return this.#all.find(({ openedAt }) => openedAt > time) ?? null;
  }

  /** Of the first `count` ids that were acknowledged (all of them by default), those that are not in `present`, ascending. */
  missing(present: ReadonlySet<number>, count = Infinity): number[] {
    return this.#all.slice(0, count).flatMap(({ id }) => (present.has(id) ? [] : [id])).sort((a, b) => a - b);
  }

  /** Acknowledgements a second between two times. */
  rate(from: number, to: number): number {
    return to > from ? (this.countBetween(from, to) * 1000) / (to - from) : 0;
  }
}
