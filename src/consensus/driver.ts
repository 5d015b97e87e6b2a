/**
 * Drives the core: one loop takes a Ready, makes it durable, sends, applies, advances, and only then looks at what has
 * come in meanwhile. A slow disk so delays heartbeats, and a leader that cannot write loses its leadership.
 */
import type { CasResult } from '../state/store.ts';
import type { Clock } from './clock.ts';
import { isFromLeader } from './contact.ts';
import { leaseTicks } from './core/state.ts';
import { Raft, type RaftBrief, type RaftStatus } from './core/raft.ts';
import type { ConfChange, Message, Ready } from './core/types.ts';
import { TickTimes } from './lease.ts';
import type { RaftStorage } from './log/storage.ts';
import type { Change, StateMachine } from './state-machine.ts';

export interface Timing {
  /** All in ms. A heartbeat and an election timeout are whole numbers of ticks; elections begin after one to two timeouts. */
  tickMs: number;
  heartbeatMs: number;
  electionMs: number;
}

export interface DriverOptions {
  self: string;
  timing: Timing;
  storage: RaftStorage;
  machine: StateMachine;
  clock: Clock;
  /** A whole number in [0, limit). */
  random: (limit: number) => number;
  send: (to: string, message: Message) => void;
  /** Documents changed. */
  onChanges: (changes: Change[]) => void;
  /** Role, leader, term, membership or lease may have changed. */
  onProgress: () => void;
  /** The node has stopped for good: its disk failed, or an invariant is broken. */
  onFatal: (error: unknown) => void;
  /** Entries, and characters of data, after which the log is compacted. */
  compactAfter: { entries: number; characters: number };
}

/** `result` is null for an entry that is not the state machine's. */
export type Outcome = { kind: 'applied'; result: CasResult | null } | { kind: 'again'; why: string };

/** Entries kept behind a snapshot, so that a follower a little behind needs no snapshot. */
const KEPT_ENTRIES = 200;

/** Something to do with the core between two Readies; `abandon` instead when the driver stops first. */
interface Job {
  work: () => void;
  abandon?: (() => void) | undefined;
}

interface Waiter {
  term: number;
  done: (outcome: Outcome) => void;
}

export class Driver {
  readonly #options: DriverOptions;
  readonly #raft: Raft;
  readonly #tickTimes: TickTimes;
  readonly #inbox: Job[] = [];
  readonly #proposals = new Map<number, Waiter>();
  readonly #reads = new Map<string, () => void>();
  #confirmed: { index: number; done: () => void }[] = [];
  #appliedTerm = 0;
  #sinceSnapshot = { entries: 0, characters: 0 };
  #busy = false;
  #pumping: Promise<void> = Promise.resolve();
  #stopped = false;
  /** A pause of this process has been made up for since a leader was last heard. */
  #forgiven = false;
  /** When the last tick that is counted was due, on the clock. */
  #lastTick: number;
  /** The tick that is waited for: when it is due, and how many it makes together with those before it. */
  #awaited: { at: number; ticks: number };
  #timer: { at: number; cancel: () => void } | null = null;
  /** The last tick came late by one or more. */
  #late = false;

  constructor(options: DriverOptions) {
    this.#options = options;
    const { self, timing, storage, random, clock } = options;
    const electionTicks = Math.round(timing.electionMs / timing.tickMs);
    this.#raft = new Raft({
      id: self, electionTicks, heartbeatTicks: Math.max(1, Math.round(timing.heartbeatMs / timing.tickMs)),
      random, maxBatch: 256 * 1024, maxInflight: 16,
    }, storage.start);
    this.#tickTimes = new TickTimes(2 * electionTicks);
    this.#tickTimes.note(0, clock.now());
    this.#lastTick = clock.now();
    this.#awaited = { at: this.#lastTick + timing.tickMs, ticks: 1 };
    options.machine.restore(storage.start.snapshot.data);
    this.#appliedTerm = storage.start.snapshot.term;
  }

  start(): void {
    const { hardState, snapshot } = this.#options.storage.start;
    const first = hardState.term === 0 && snapshot.conf.voters[0] === this.#options.self;
    // A new group need not wait for a timeout: there is no leader yet, and only one of them asks.
    this.#enqueue(() => {
      if (first) this.#raft.campaign();
    });
  }

  /** Returns when nothing runs any more. What waits is answered with `again`. */
  async stop(): Promise<void> {
    this.#halt();
    await this.#pumping;
  }

  status(): RaftStatus {
    return this.#raft.status();
  }

  brief(): RaftBrief {
    return this.#raft.brief();
  }

  /** When this node's lease as the leader ends, on the clock; -Infinity when it holds none. */
  leaseEnd(): number {
    const { timing } = this.#options;
    const { role, term } = this.#raft.brief();
    // A leader that has not applied an entry of its own term does not yet know what its predecessors decided.
    if (role !== 'leader' || this.#stopped || this.#appliedTerm !== term) return -Infinity;
    const ticks = leaseTicks({ electionTicks: Math.round(timing.electionMs / timing.tickMs) });
    return this.#tickTimes.leaseEnd(this.#raft.leaseStart(), ticks * timing.tickMs);
  }

  receive(message: Message): void {
    if (isFromLeader(message)) this.#forgiven = false;
    this.#enqueue(() => this.#raft.step(message));
  }

  /** Proposes a command of the state machine. `again` leaves open whether it was or will be applied. */
  propose(data: string): Promise<Outcome> {
    return this.#wait(() => this.#raft.propose(data));
  }

  proposeConf(change: ConfChange): Promise<Outcome> {
    return this.#wait(() => this.#raft.proposeConf(change));
  }

  /** Resolves with false when `to` cannot take over. */
  transfer(to: string): Promise<boolean> {
    return new Promise((resolve) => {
      this.#enqueue(() => resolve(this.#raft.transferLeader(to)), () => resolve(false));
    });
  }

  /** Calls `done` when everything that was committed before is applied here; or never: forget(context) and ask again. */
  readIndex(context: string, done: () => void): void {
    this.#reads.set(context, done);
    this.#enqueue(() => {
      if (this.#reads.has(context)) this.#raft.readIndex(context);
    });
  }

  forget(context: string): void {
    this.#reads.delete(context);
  }

  #wait(offer: () => ReturnType<Raft['propose']>): Promise<Outcome> {
    return new Promise((resolve) => {
      this.#enqueue(() => {
        const proposed = offer();
        if (proposed.ok) this.#proposals.set(proposed.index, { term: proposed.term, done: resolve });
        else resolve({ kind: 'again', why: proposed.why });
      }, () => resolve({ kind: 'again', why: 'the agent is stopping' }));
    });
  }

  // ---------------------------------------------------------------- the loop

  #enqueue(work: () => void, abandon?: () => void): void {
    if (this.#stopped) return abandon?.();
    this.#inbox.push({ work, abandon });
    if (this.#busy) return;
    this.#busy = true;
    this.#pumping = this.#pump();
  }

  async #pump(): Promise<void> {
    try {
      while (!this.#stopped) {
        this.#countTicks();
        for (let job = this.#inbox.shift(); job !== undefined; job = this.#inbox.shift()) job.work();
        this.#awaitTick();
        const ready = this.#raft.ready();
        if (ready !== null) await this.#carryOut(ready);
        else {
          this.#options.onProgress();
          if (this.#inbox.length === 0) break;
        }
      }
    } catch (error) {
      this.#halt();
      this.#options.onFatal(error);
    } finally {
      this.#busy = false;
    }
  }

  async #carryOut(ready: Ready): Promise<void> {
    const { storage, machine, send, onChanges, onProgress } = this.#options;
    if (ready.hardState !== null || ready.entries.length > 0 || ready.snapshot !== null) await storage.save(ready);
    if (this.#stopped) return;
    // Whoever loses leadership here hears of it before a message that lets another begin has left.
    onProgress();
    for (const message of ready.messages) send(message.to, message);
    const changes: Change[] = [];
    if (ready.snapshot !== null) {
      this.#appliedTerm = ready.snapshot.term;
      changes.push(...machine.restore(ready.snapshot.data));
    }
    const outcomes: (() => void)[] = [];
    for (const entry of ready.committed) {
      const applied = entry.kind === 'data' ? machine.apply(entry.data) : null;
      if (applied?.change) changes.push(applied.change);
      this.#appliedTerm = entry.term;
      this.#sinceSnapshot.entries += 1;
      this.#sinceSnapshot.characters += entry.data.length;
      const waiter = this.#proposals.get(entry.index);
      this.#proposals.delete(entry.index);
      if (waiter?.term === entry.term) outcomes.push(() => waiter.done({ kind: 'applied', result: applied?.result ?? null }));
      else if (waiter !== undefined) outcomes.push(() => waiter.done({ kind: 'again', why: 'another leader' }));
    }
    this.#raft.advance();
    if (changes.length > 0) onChanges(changes);
    for (const answer of outcomes) answer();
    this.#answerReads(ready);
    if (this.#raft.brief().role !== 'leader') this.#giveUpProposals('no longer the leader');
    await this.#compact();
    onProgress();
  }

  #answerReads(ready: Ready): void {
    if (ready.readStates.length === 0 && this.#confirmed.length === 0) return;
    for (const { context, index } of ready.readStates) {
      const done = this.#reads.get(context);
      this.#reads.delete(context);
      if (done !== undefined) this.#confirmed.push({ index, done });
    }
    const { applied } = this.#raft.brief();
    const due = this.#confirmed.filter(({ index }) => index <= applied);
    this.#confirmed = this.#confirmed.filter(({ index }) => index > applied);
    for (const { done } of due) done();
  }

  async #compact(): Promise<void> {
    const { compactAfter, machine, storage } = this.#options;
    const { entries, characters } = this.#sinceSnapshot;
    if (this.#stopped || (entries < compactAfter.entries && characters < compactAfter.characters)) return;
    this.#sinceSnapshot = { entries: 0, characters: 0 };
    await storage.compact(this.#raft.compact(machine.snapshot(), Math.min(KEPT_ENTRIES, compactAfter.entries)));
  }

  #giveUpProposals(why: string): void {
    if (this.#proposals.size === 0) return;
    const waiters = [...this.#proposals.values()];
    this.#proposals.clear();
    for (const { done } of waiters) done({ kind: 'again', why });
  }

  #halt(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#giveUpProposals('the agent is stopping');
    for (const { abandon } of this.#inbox.splice(0)) abandon?.();
  }

  /**
   * Wakes the loop for the tick with which time itself may bring something about; the ticks before it are counted then, or
   * when something else happens. While ticks come late each is waited for by itself.
   */
  #awaitTick(): void {
    if (this.#stopped) return;
    const { clock, timing } = this.#options;
    const ticks = this.#late ? 1 : this.#raft.ticksToNext();
    const at = this.#lastTick + ticks * timing.tickMs;
    this.#awaited = { at, ticks };
    if (this.#timer?.at === at) return;
    this.#timer?.cancel();
    const cancel = clock.after(Math.max(1, at - clock.now()), () => {
      this.#timer = null;
      this.#enqueue(() => undefined);
    });
    this.#timer = { at, cancel };
  }

  /**
   * Counts the ticks that have passed. Never more of them than time has passed: others' promises are counted in them. A
   * missed tick is not made up for, so that time in which nothing could be done (a slow disk) does not count against a
   * leader. After a long pause (this process had no turn) even the silence before it does not count: once, so that a machine
   * on which every tick is late still replaces a leader that is gone.
   */
  #countTicks(): void {
    const { clock, timing: { tickMs, electionMs } } = this.#options;
    const now = clock.now();
    const passed = Math.min(Math.floor((now - this.#lastTick) / tickMs), this.#awaited.ticks);
    if (passed < 1) return;
    const late = now - this.#awaited.at;
    this.#late = late >= tickMs;
    this.#lastTick = this.#late ? now : this.#lastTick + passed * tickMs;
    for (let tick = 1; tick < passed; tick += 1) this.#tick(now);
    if (this.#late) this.#raft.hurryHeartbeat();
    if (late > electionMs / 2 && !this.#forgiven) {
      this.#forgiven = true;
      this.#raft.restartElectionTimer();
    }
    this.#tick(now);
    this.#awaited = { ...this.#awaited, ticks: this.#awaited.ticks - passed };
  }

  #tick(now: number): void {
    this.#raft.tick();
    this.#tickTimes.note(this.#raft.brief().ticks, now);
  }
}
