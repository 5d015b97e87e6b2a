/** Raft's safety properties (paper, figure 3), watched over a whole run. Each method throws at the first violation. */
import { leaseTicks } from '../state.ts';
import type { Entry, Ready } from '../types.ts';
import type { SimNode } from './node.ts';

export class Invariants {
  readonly #leaders = new Map<number, string>();
  /** By index: what was first applied there, and the term of the node that did. */
  readonly #applied = new Map<number, { entry: Entry; byTerm: number }>();
  /** By context: the highest index applied anywhere when the read was asked. */
  readonly #reads = new Map<string, number>();
  highest = 0;
  answeredReads = 0;

  get terms(): number {
    return this.#leaders.size;
  }

  readAsked(context: string): void {
    this.#reads.set(context, this.highest);
  }

  /** Election safety and leader completeness: to be called when the node's log is on its disk. */
  leading(node: SimNode): void {
    const { role, term } = node.raft!.status();
    if (role !== 'leader') return;
    const known = this.#leaders.get(term);
    if (known === node.id) return;
    if (known !== undefined) throw new Error(`election safety: ${known} and ${node.id} lead term ${term}`);
    this.#leaders.set(term, node.id);
    const log = new Map(node.disk.entries.map((entry) => [entry.index, entry]));
    for (const [index, { entry, byTerm }] of this.#applied) {
      if (byTerm >= term || index <= node.disk.snapshot.index) continue;
      if (log.get(index)?.term !== entry.term) throw new Error(`leader completeness: ${node.id} leads term ${term} without entry ${index}`);
    }
  }

  /** State machine safety and linearizable reads. */
  applying(node: SimNode, ready: Ready): void {
    for (const entry of ready.committed) {
      const first = this.#applied.get(entry.index);
      if (first === undefined) this.#applied.set(entry.index, { entry, byTerm: node.raft!.status().term });
      else if (first.entry.term !== entry.term || first.entry.data !== entry.data) {
        throw new Error(`state machine safety: ${node.id} applies ${JSON.stringify(entry)} where ${JSON.stringify(first.entry)} was`);
      }
      this.highest = Math.max(this.highest, entry.index);
    }
    for (const { context, index } of ready.readStates) {
      const floor = this.#reads.get(context);
      if (floor === undefined) continue;
      this.answeredReads += 1;
      if (index < floor) throw new Error(`linearizable reads: ${context} answered at ${index}, but ${floor} was applied before it was asked`);
    }
  }

  /** Log matching: two logs that agree on an entry agree on everything before it. */
  static logsMatch(nodes: SimNode[]): void {
    for (const [at, one] of nodes.entries()) {
      for (const other of nodes.slice(at + 1)) {
        const theirs = new Map(other.disk.entries.map((entry) => [entry.index, entry]));
        let agreed = false;
        for (const entry of one.disk.entries.toReversed()) {
          const match = theirs.get(entry.index);
          const same = match?.term === entry.term && match.data === entry.data;
          if (match !== undefined && agreed && !same) throw new Error(`log matching: ${one.id} and ${other.id} differ at ${entry.index}`);
          agreed ||= same;
        }
      }
    }
  }

  /** Only where all nodes tick together: one lease at a time, and none beside a newer leader. */
  static oneLease(nodes: SimNode[]): void {
    const statuses = nodes.flatMap((node) => (node.raft === null ? [] : [node.raft.status()]));
    const holders = statuses.filter(({ leaseStart, ticks }) =>
      leaseStart !== null && ticks - leaseStart < leaseTicks(nodes[0]!.options));
    for (const holder of holders) {
      const newer = statuses.find((status) => status.role === 'leader' && status.term > holder.term);
      if (newer !== undefined) throw new Error(`lease: ${holder.id} of term ${holder.term} holds one while ${newer.id} leads term ${newer.term}`);
    }
  }
}
