/**
 * Who decides, as this process may believe it. `self` is true only while the lease lasts: it is compared with the clock
 * whenever it is asked, so that a process that was frozen past its lease is not the leader when it wakes, before any
 * timer or message has had its turn.
 */
import type { Leadership } from '../state/store.ts';
import type { Clock } from './clock.ts';
import type { RaftStatus } from './core/raft.ts';

export interface LeadershipSource {
  status(): Pick<RaftStatus, 'id' | 'role' | 'term' | 'leader'>;
  leaseEnd(): number;
}

export class LeadershipWatch {
  readonly #source: LeadershipSource;
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #listeners = new Set<(leadership: Leadership) => void>();
  #told: Leadership;
  #timer: { at: number; cancel: () => void } | null = null;
  #stopped = false;

  constructor(source: LeadershipSource, clock: Clock, onError: (error: unknown) => void) {
    this.#source = source;
    this.#clock = clock;
    this.#onError = onError;
    this.#told = { leader: null, self: false, term: source.status().term };
  }

  now(): Leadership {
    this.refresh();
    return { ...this.#told };
  }

  onChange(listener: (leadership: Leadership) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Looks again, and tells the listeners what has changed: a loss on this node first of all. */
  refresh(): void {
    const status = this.#source.status();
    const leaseEnd = this.#source.leaseEnd();
    const self = !this.#stopped && this.#clock.now() < leaseEnd;
    const leader = self ? status.id : status.role === 'leader' ? null : status.leader;
    if (self) this.#wakeAt(leaseEnd);
    const next: Leadership = { leader, self, term: status.term };
    const { leader: before, self: was, term } = this.#told;
    if (leader === before && self === was && status.term === term) return;
    // A leadership of another term is another one: the old one ends for the listeners before the new one begins.
    if (was && self && status.term !== term) this.#tell({ leader: null, self: false, term });
    this.#tell(next);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.refresh();
  }

  #tell(leadership: Leadership): void {
    this.#told = leadership;
    for (const listener of this.#listeners) {
      try {
        listener({ ...leadership });
      } catch (error) {
        this.#onError(error);
      }
    }
  }

  /** The end of a lease is told at once, not at the next tick. One that is renewed in time wakes nobody. */
  #wakeAt(leaseEnd: number): void {
    if (this.#timer?.at === leaseEnd || this.#stopped) return;
    this.#timer?.cancel();
    const cancel = this.#clock.after(Math.max(1, leaseEnd - this.#clock.now()), () => {
      this.#timer = null;
      this.refresh();
    });
    this.#timer = { at: leaseEnd, cancel };
  }
}
