/** What is cut just now. Faults overlap: a path is open again when the last fault that cut it has ended. */
import { setPath, setPlugged, type Network } from './network.ts';

/** One direction. */
export interface Path {
  from: string;
  to: string;
}

/** Pure: every path between the two sides, in the directions that are asked for. */
export function pathsBetween(side: readonly string[], others: readonly string[], direction: 'both' | 'out' | 'in'): Path[] {
  return side.flatMap((a) => others.flatMap((b) => [
    ...(direction === 'in' ? [] : [{ from: a, to: b }]),
    ...(direction === 'out' ? [] : [{ from: b, to: a }]),
  ]));
}

const keyOf = ({ from, to }: Path): string => `${from}>${to}`;

export class Cuts {
  readonly #network: Network;
  /** How many faults cut each path, and pull each cable. */
  readonly #cut = new Map<string, number>();
  readonly #pulled = new Map<string, number>();

  constructor(network: Network) {
    this.#network = network;
  }

  async cut(paths: readonly Path[]): Promise<void> {
    for (const path of paths) {
      const count = this.#cut.get(keyOf(path)) ?? 0;
      this.#cut.set(keyOf(path), count + 1);
      if (count === 0) await setPath(this.#network, path.from, path.to, false);
    }
  }

  async mend(paths: readonly Path[]): Promise<void> {
    for (const path of paths) {
      const count = (this.#cut.get(keyOf(path)) ?? 0) - 1;
      if (count > 0) this.#cut.set(keyOf(path), count);
      else if (this.#cut.delete(keyOf(path))) await setPath(this.#network, path.from, path.to, true);
    }
  }

  async unplug(node: string): Promise<void> {
    const count = this.#pulled.get(node) ?? 0;
    this.#pulled.set(node, count + 1);
    if (count === 0) await setPlugged(this.#network, node, false);
  }

  async plug(node: string): Promise<void> {
    const count = (this.#pulled.get(node) ?? 0) - 1;
    if (count > 0) {
      this.#pulled.set(node, count);
      return;
    }
    if (!this.#pulled.delete(node)) return;
    await setPlugged(this.#network, node, true);
    // Pulling the cable emptied the table that the cuts are made in.
    for (const key of this.#cut.keys()) {
      const [from = '', to = ''] = key.split('>');
      if (from === node) await setPath(this.#network, from, to, false);
    }
  }
}
