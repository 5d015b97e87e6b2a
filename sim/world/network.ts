/**
 * The network between hosts. Each direction of each pair can be cut by itself. Datagrams (reports, consensus) are lost
 * when cut, and may be lost, late or doubled when troubled; what runs over TCP (replication) waits and keeps its order.
 */
import type { Clock } from '../kernel/clock.ts';
import type { Prng } from '../kernel/prng.ts';

/** How often a stalled connection tries to go on, ms: what TCP's retransmission does. */
const RETRY_MS = 200;

export class Network {
  /** The share of datagrams that is lost, late or doubled. */
  trouble = 0;
  readonly #clock: Clock;
  readonly #random: Prng;
  /** By whom it comes and to whom it goes: since when nothing passes. */
  readonly #cut = new Map<string, Map<string, number>>();

  constructor(clock: Clock, random: Prng) {
    this.#clock = clock;
    this.#random = random;
  }

  cut(from: string, to: string): void {
    if (!this.passes(from, to) || from === to) return;
    const cuts = this.#cut.get(from) ?? new Map<string, number>();
    this.#cut.set(from, cuts.set(to, this.#clock.now));
  }

  mend(from: string, to: string): void {
    const cuts = this.#cut.get(from);
    if (cuts?.delete(to) && cuts.size === 0) this.#cut.delete(from);
  }

  mendAll(): void {
    this.#cut.clear();
  }

  passes(from: string, to: string): boolean {
    return this.#cut.size === 0 || from === to || this.#cut.get(from)?.has(to) !== true;
  }

  /** Both ways: what a request with an answer needs. */
  linked(one: string, other: string): boolean {
    return this.passes(one, other) && this.passes(other, one);
  }

  /** How long nothing has passed, ms; 0 while something does. */
  silence(from: string, to: string): number {
    const since = this.#cut.get(from)?.get(to);
    return since === undefined ? 0 : this.#clock.now - since;
  }

  /** `arrive` may run never, once or twice. */
  datagram(from: string, to: string, arrive: () => void): void {
    const random = this.#random;
    if (from === to) {
      this.#clock.after(0, arrive);
      return;
    }
    const troubled = this.trouble > 0 && random.chance(this.trouble);
    if (troubled && random.chance(0.5)) return;
    this.#come(troubled ? random.int(100, 4_000) : random.int(1, 8), from, to, arrive);
    if (troubled && random.chance(0.3)) this.#come(random.int(10, 6_000), from, to, arrive);
  }

  #come(ms: number, from: string, to: string, arrive: () => void): void {
    this.#clock.after(ms, () => {
      if (this.passes(from, to)) arrive();
    });
  }

  pipe(from: string, to: string): Pipe {
    return new Pipe(this, this.#clock, this.#random, from, to);
  }
}

/** One direction of a TCP connection. */
export class Pipe {
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #random: Prng;
  readonly #from: string;
  readonly #to: string;
  readonly #queue: { due: number; arrive: () => void }[] = [];
  #pumping = false;
  #closed = false;
  readonly #arrived = (): void => {
    this.#pumping = false;
    if (this.#closed) return;
    if (this.#network.passes(this.#from, this.#to)) this.#queue.shift()!.arrive();
    this.#pump();
  };

  constructor(network: Network, clock: Clock, random: Prng, from: string, to: string) {
    this.#network = network;
    this.#clock = clock;
    this.#random = random;
    this.#from = from;
    this.#to = to;
  }

  send(arrive: () => void): void {
    if (this.#closed) return;
    // Now and then a packet is lost, and sent again after a while.
    const ms = this.#random.chance(0.02) ? this.#random.int(20, 300) : this.#random.int(1, 5);
    this.#queue.push({ due: this.#clock.now + (this.#from === this.#to ? 0 : ms), arrive });
    this.#pump();
  }

  /** What is under way is lost. */
  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
  }

  #pump(): void {
    const head = this.#queue[0];
    if (this.#pumping || head === undefined) return;
    this.#pumping = true;
    const blocked = !this.#network.passes(this.#from, this.#to);
    this.#clock.after(blocked ? RETRY_MS : head.due - this.#clock.now, this.#arrived);
  }
}
