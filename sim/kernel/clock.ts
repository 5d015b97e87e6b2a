/** Virtual time: a queue of what happens when. Events at the same moment happen in the order in which they were made. */

interface Entry {
  at: number;
  order: number;
  run: () => void;
}

export class Clock {
  /** ms */
  now = 0;
  #order = 0;
  readonly #heap: Entry[] = [];

  after(ms: number, run: () => void): void {
    const heap = this.#heap;
    const entry: Entry = { at: this.now + Math.max(0, ms), order: this.#order++, run };
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(entry, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  /** Lets events happen until `end`, or until `done` says so after one of them. */
  run(end: number, done: () => boolean = () => false): void {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > end) {
        this.now = end;
        return;
      }
      this.#pop();
      this.now = next.at;
      next.run();
      if (done()) return;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (!before(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at !== b.at ? a.at < b.at : a.order < b.order;
}
