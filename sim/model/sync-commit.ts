/**
 * Commits that wait for followers: "syncrep.c" as far as `ANY k (...)` needs it. Every walsender has its own view of the
 * configuration and, when its follower has said something, releases by that view all that enough have flushed.
 */
import type { Server } from './server.ts';
import type { Stream } from './stream.ts';

interface Waiter {
  position: number;
  done: () => void;
}

interface Quorum {
  needed: number;
  names: readonly string[];
}

const parsed = new Map<string, Quorum | null>();

/** synchronous_standby_names, parsed; null where it is empty. */
export function quorumOf(text: string): Quorum | null {
  let quorum = parsed.get(text);
  if (quorum === undefined) {
    const [, needed, list] = /^ANY (\d+) \((.*)\)$/.exec(text) ?? [];
    quorum = needed === undefined ? null : { needed: Number(needed), names: list!.split(',').map((name) => name.trim().replaceAll('"', '')) };
    parsed.set(text, quorum);
  }
  return quorum;
}

/** Does what it says release commits? */
export const counts = (stream: Stream): boolean => stream.flushed !== null && (quorumOf(stream.names)?.names.includes(stream.name) ?? false);

export class SyncCommits {
  readonly #server: Server;
  readonly #waiting: Waiter[] = [];
  /** All up to here is on enough followers. */
  #released = 0;
  #defined: boolean;

  /** @param names in force at the start. */
  constructor(server: Server, names: string) {
    this.#server = server;
    this.#defined = quorumOf(names) !== null;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** The server is being stopped: those who wait are sent away without a word. */
  abandon(): void {
    this.#waiting.length = 0;
  }

  add(position: number, done: () => void): void {
    this.#waiting.push({ position, done });
  }

  /** The checkpointer has read the configuration. Without names nobody waits any more. */
  define(names: string): void {
    this.#defined = quorumOf(names) !== null;
    this.settle();
  }

  /** A walsender has heard its follower. */
  heard(stream: Stream): void {
    const quorum = quorumOf(stream.names);
    if (quorum === null || !counts(stream)) return;
    const flushed = this.#server.streams.filter(counts).map((one) => one.flushed!).sort((a, b) => b - a);
    this.#released = Math.max(this.#released, flushed[quorum.needed - 1] ?? 0);
    this.settle();
  }

  /** Tells those whose commit is flushed here and, where names are set, on enough others. */
  settle(): void {
    const { flushed } = this.#server.data;
    const end = this.#defined ? Math.min(flushed, this.#released) : flushed;
    while (this.#waiting.length > 0 && this.#waiting[0]!.position <= end) this.#waiting.shift()!.done();
  }
}
