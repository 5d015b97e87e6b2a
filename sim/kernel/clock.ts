/** Virtual time: a queue of what happens when. Events at the same moment happen in the order in which they were made. */

/** To whom something happens, if not to the world: it may be dead, or stand still. */
interface Recipient {
  deliver(run: (turn: number) => void, turn: number): void;
}

interface Entry {
  at: number;
  order: number;
  run: (turn: number) => void;
  to: Recipient | null;
  turn: number;
}

export class Clock {
  /** ms */
  now = 0;
  #order = 0;
  readonly #heap: Entry[] = [];

  /** @param turn is handed to `run`: one function for many waits needs no closure for each. */
  after(ms: number, run: (turn: number) => void, to: Recipient | null = null, turn = 0): void {
    const heap = this.#heap;
    const at = ms > 0 ? this.now + ms : this.now;
    const entry: Entry = { at, order: this.#order++, run, to, turn };
    let index = heap.length;
    heap.push(entry);
    // Of two at the same moment the newer one is later: it never passes an equal.
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent]!;
      if (above.at <= at) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = entry;
  }

  /** Lets events happen until `end`, or until `done` says so after one of them. */
  run(end: number, done: (() => boolean) | null = null): void {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > end) {
        this.now = end;
        return;
      }
      this.#pop();
      this.now = next.at;
      if (next.to === null) next.run(next.turn);
      else next.to.deliver(next.run, next.turn);
      if (done !== null && done()) return;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const { length } = heap;
    if (length === 0) return;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= length) break;
      let below = heap[child]!;
      if (child + 1 < length) {
        const other = heap[child + 1]!;
        if (before(other, below)) {
          child += 1;
          below = other;
        }
      }
      if (!before(below, last)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at !== b.at ? a.at < b.at : a.order < b.order;
}
