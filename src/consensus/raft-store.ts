/**
 * The control plane's documents, kept by Raft among the agents: StateStore as every agent sees it. Any agent takes any
 * call; what only the leader can do is passed on to it. See README.md for the parts.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { PgorbitError } from '../errors.ts';
import type { CasResult, Leadership, StateStore, Versioned } from '../state/store.ts';
import { Asks } from './asks.ts';
import { systemClock, type Clock } from './clock.ts';
import { Contact, isFromLeader } from './contact.ts';
import type { RaftStatus } from './core/raft.ts';
import type { Conf } from './core/types.ts';
import { Driver, type Timing } from './driver.ts';
import { LeaderDesk } from './leader-desk.ts';
import { LeadershipWatch } from './leadership.ts';
import type { RaftStorage } from './log/storage.ts';
import { ReadBarrier } from './read-barrier.ts';
import { StateMachine, type CasCommand, type Change } from './state-machine.ts';
import type { RaftTransport } from './transport.ts';
import { Watchers } from './watchers.ts';
import { asWire, fromWire, parseEnvelope, WIRE_VERSION, type Answer, type Ask, type Envelope } from './wire.ts';

export interface RaftStoreOptions {
  /** This host's name. */
  self: string;
  /** Opened; closed by stop(). */
  storage: RaftStorage;
  transport: RaftTransport;
  timing?: Partial<Timing>;
  /** How long a call tries before it fails, in ms. */
  requestMs?: number;
  clock?: Clock;
  /** A whole number in [0, limit), for election timeouts. */
  random?: (limit: number) => number;
  /** Tells this run of the agent from its earlier ones, in requests; drawn at random by default. */
  run?: string;
  compactAfter?: { entries: number; characters: number };
  /** The store cannot go on (its disk failed, or an invariant is broken) and has let go of its leadership. */
  onFatal: (error: unknown) => void;
  /** Something was wrong that ends nothing: a message that makes no sense, a listener that threw. */
  onError: (error: unknown) => void;
}

/** How this agent stands with whoever leads, at the moment in which it is asked. */
export interface LeaderContact {
  leader: string | null;
  /**
   * ms of the monotonic clock since a message of the leader of the present term was read from its connection; Infinity
   * when none was, and in the leader itself. The message may have been under way for any time before: nobody may take
   * this for a lease. A lease counts from the moment at which its holder asked for it.
   */
  heardMsAgo: number;
  /** This agent leads, and its own lease lasts. */
  leading: boolean;
}

export const DEFAULT_TIMING: Timing = { tickMs: 100, heartbeatMs: 250, electionMs: 1000 };

export class RaftStore implements StateStore {
  readonly #options: Required<RaftStoreOptions>;
  readonly #timing: Timing;
  readonly #machine = new StateMachine();
  readonly #watchers: Watchers;
  readonly #asks: Asks;
  readonly #leadership: LeadershipWatch;
  readonly #contact = new Contact();
  readonly #wakers = new Set<() => void>();
  #driver: Driver | undefined;
  #desk: LeaderDesk | undefined;
  #barrier: ReadBarrier | undefined;
  #stopped = false;
  #failure: unknown;
  #requests = 0;
  #leaderSeen: string | null = null;

  constructor(options: RaftStoreOptions) {
    this.#options = {
      timing: {}, requestMs: 10_000, clock: systemClock, random: (limit) => randomInt(limit),
      run: randomBytes(6).toString('hex'), compactAfter: { entries: 1000, characters: 8 * 1024 * 1024 }, ...options,
    };
    this.#timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#watchers = new Watchers(this.#machine, options.onError);
    this.#asks = new Asks(this.#options.clock, `${options.self}.${this.#options.run}`);
    this.#leadership = new LeadershipWatch({
      status: () => this.#driver?.brief() ?? { id: options.self, role: 'follower', term: 0, leader: null },
      leaseEnd: () => this.#driver?.leaseEnd() ?? -Infinity,
    }, this.#options.clock, options.onError);
  }

  /**
   * Makes `hosts` the voters of a new group; each of them is told the same list. Before start(), and only where nothing
   * is stored yet: an agent that joins an existing group is started blank, and added there with addLearner().
   * Throws PgorbitError `unsafe` where there already is a state.
   */
  async bootstrap(hosts: string[]): Promise<void> {
    await this.#options.storage.bootstrap({ index: 1, term: 0, conf: { voters: [...hosts].sort(), learners: [] }, data: '' });
  }

  start(): void {
    const { self, storage, clock, random, transport, compactAfter, run } = this.#options;
    this.#driver = new Driver({
      self, timing: this.#timing, storage, machine: this.#machine, clock, random, compactAfter,
      send: (to, message) => transport.send(to, asWire(message)),
      onChanges: (changes) => this.#watchers.changed(changes),
      onProgress: () => this.#progress(),
      onFatal: (error) => this.#fail(error),
    });
    this.#desk = new LeaderDesk(self, this.#driver);
    this.#barrier = new ReadBarrier(this.#driver, clock, `${self}.${run}`, this.#timing.electionMs / 2);
    transport.onMessage((from, message) => this.#receive(from, message));
    this.#driver.start();
  }

  /** Ends everything and waits for it. A leader lets go first: hand over with transferLeader() to spare the election. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#leadership.stop();
    const stopped = this.#driver?.stop();
    this.#letGo();
    await stopped;
    await this.#options.storage.close();
  }

  // ---------------------------------------------------------------- StateStore

  async read(key: string): Promise<Versioned | null> {
    await this.#passBarrier(`the document ${key}`);
    return this.#machine.get(key);
  }

  async list(prefix: string): Promise<Versioned[]> {
    await this.#passBarrier(`the documents ${prefix}*`);
    return this.#machine.list(prefix);
  }

  /** Throws PgorbitError `agent-unreachable` when it was not written, `timed-out` when it may have been or may yet be. */
  async compareAndSet(key: string, revision: number, value: unknown): Promise<CasResult> {
    this.#requests += 1;
    const { self, run } = this.#options;
    const command: CasCommand = { op: 'cas', id: `${self}.${run}.${this.#requests}`, key, revision, value: value ?? null };
    const answer = await this.#askLeader({ op: 'propose', data: JSON.stringify(command) }, `the change of ${key}`);
    if (answer.kind !== 'cas') throw new PgorbitError('internal', `the leader answered ${answer.kind} to the change of ${key}`);
    return answer.result;
  }

  watch(prefix: string, onChange: (document: Versioned | { key: string; revision: number; value: null }) => void): () => void {
    return this.#watchers.watch(prefix, onChange);
  }

  /** Changes after `revision` that this agent has applied, or null when it no longer knows them all. */
  changesSince(revision: number, prefix: string): { revision: number; changes: Change[] | null } {
    return { revision: this.#machine.revision, changes: this.#machine.changesSince(revision, prefix) };
  }

  /** What this agent has applied: at once, without a majority, and perhaps not the newest. */
  local(key: string): Versioned | null {
    return this.#machine.get(key);
  }

  leadership(): Leadership {
    return this.#leadership.now();
  }

  contact(): LeaderContact {
    const { leader, self, term } = this.#leadership.now();
    return { leader, heardMsAgo: this.#contact.heardMsAgo(term, this.#options.clock.now()), leading: self };
  }

  onLeadership(onChange: (leadership: Leadership) => void): () => void {
    return this.#leadership.onChange(onChange);
  }

  // ---------------------------------------------------------------- membership

  /** As this agent has applied it. */
  members(): Conf {
    return this.#driver?.status().conf ?? { voters: [], learners: [] };
  }

  status(): RaftStatus | null {
    return this.#driver?.status() ?? null;
  }

  /** Done when committed; doing it again changes nothing. Errors as compareAndSet, and `unsafe` for what never may be. */
  async addLearner(host: string): Promise<void> {
    await this.#askLeader({ op: 'member', change: { op: 'add-learner', id: host } }, `adding ${host}`);
  }

  /** Makes a learner a voter, once it has caught up. */
  async promote(host: string): Promise<void> {
    await this.#askLeader({ op: 'member', change: { op: 'promote', id: host } }, `making ${host} a voter`);
  }

  /** Removes a voter or learner; the leader hands over first. The last voter stays (`unsafe`). */
  async remove(host: string): Promise<void> {
    await this.#askLeader({ op: 'member', change: { op: 'remove', id: host } }, `removing ${host}`);
  }

  /** Asks the leader to hand over to `host`, and waits until that one leads. */
  async transferLeader(host: string): Promise<void> {
    await this.#retry(`the hand-over to ${host}`, () => true, async () => {
      // A read answered in its term shows that it has taken over in full.
      if (this.#leaderSeen === host) return (await this.#barrier?.pass()) === true && this.#leaderSeen === host ? { done: null } : null;
      const answer = await this.#askOnce({ op: 'transfer', to: host });
      if (answer?.kind === 'refused') throw new PgorbitError('unsafe', answer.why);
      return null;
    });
  }

  // ---------------------------------------------------------------- calls

  async #passBarrier(what: string): Promise<void> {
    await this.#retry(what, () => false, async () => (await this.#barrier?.pass()) === true ? { done: null } : null);
  }

  async #askLeader(ask: Ask, what: string): Promise<Answer> {
    let sent = false;
    return this.#retry(what, () => sent, async () => {
      if (this.#driver !== undefined && this.#leaderSeen !== null) sent = true;
      const answer = await this.#askOnce(ask);
      if (answer?.kind === 'refused') throw new PgorbitError('unsafe', answer.why);
      return answer === null || answer.kind === 'again' ? null : { done: answer };
    });
  }

  /** Null when there is no leader, or it did not answer. */
  async #askOnce(ask: Ask): Promise<Answer | null> {
    const { self, transport } = this.#options;
    const leader = this.#driver?.brief().leader ?? null;
    if (leader === null || this.#desk === undefined) return null;
    // A disk that hangs must not hang the caller: the same request, asked again, is carried out once.
    if (leader === self) return this.#within(2 * this.#timing.electionMs, this.#desk.serve(ask));
    return this.#asks.ask(leader, this.#timing.electionMs, (id) =>
      transport.send(leader, { v: WIRE_VERSION, kind: 'ask', id, ask } satisfies Envelope));
  }

  async #retry<T>(what: string, mayHaveHappened: () => boolean, attempt: () => Promise<{ done: T } | null>): Promise<T> {
    const { clock, requestMs } = this.#options;
    const deadline = clock.now() + requestMs;
    for (;;) {
      this.#checkRunning();
      const result = await attempt();
      if (result !== null) return result.done;
      this.#checkRunning();
      if (clock.now() >= deadline) break;
      await this.#pause(Math.max(1, Math.min(this.#timing.tickMs / 2, deadline - clock.now())));
    }
    const hint = 'see which agents are reachable with: pgorbit status';
    if (mayHaveHappened()) {
      throw new PgorbitError('timed-out', `${what} was not confirmed by a majority of the agents in time; it may still happen`, { hint });
    }
    throw new PgorbitError('agent-unreachable', `no majority of the agents can be reached for ${what}`, { hint });
  }

  #checkRunning(): void {
    if (this.#failure !== undefined) {
      const why = this.#failure instanceof Error ? this.#failure.message : String(this.#failure);
      throw new PgorbitError('agent-failed', `this agent's consensus has stopped: ${why}`, {
        hint: 'put right what it names, then start the agent again', cause: this.#failure,
      });
    }
    if (this.#stopped || this.#driver === undefined) throw new PgorbitError('agent-failed', 'this agent is not running');
  }

  /** Until `ms` have passed, or the leader has changed. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#wakers.delete(done);
        resolve();
      };
      const cancel = this.#options.clock.after(ms, done);
      this.#wakers.add(done);
    });
  }

  /** What `work` comes to, or null when it takes longer than `ms`. */
  #within<T>(ms: number, work: Promise<T>): Promise<T | null> {
    return new Promise((resolve, reject) => {
      const cancel = this.#options.clock.after(ms, () => resolve(null));
      work.finally(cancel).then(resolve, reject);
    });
  }

  #wake(): void {
    for (const waker of this.#wakers) waker();
  }

  // ---------------------------------------------------------------- events

  #progress(): void {
    this.#leadership.refresh();
    const leader = this.#driver?.brief().leader ?? null;
    if (leader === this.#leaderSeen) return;
    this.#leaderSeen = leader;
    this.#asks.giveUpExcept(leader);
    this.#barrier?.giveUp();
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#failure = error;
    this.#leadership.stop();
    this.#letGo();
    this.#options.onFatal(error);
  }

  /** Nobody waits for an answer any more. */
  #letGo(): void {
    this.#asks.giveUpExcept(null);
    this.#barrier?.stop();
    this.#wake();
  }

  #receive(from: string, value: unknown): void {
    if (this.#stopped || this.#failure !== undefined) return;
    const parsed = parseEnvelope(value);
    const why = !parsed.ok ? parsed.why
      : parsed.envelope.kind === 'raft' && parsed.envelope.message.from !== from ? `it says it is from ${parsed.envelope.message.from}`
        : null;
    if (!parsed.ok || why !== null) {
      this.#options.onError(new PgorbitError('agent-failed', `a consensus message from ${from} was dropped: ${why}`));
      return;
    }
    const message = parsed.envelope;
    if (message.kind === 'raft') {
      if (isFromLeader(message.message)) this.#contact.heard(message.message, this.#driver!.brief().term, this.#options.clock.now());
      this.#driver!.receive(fromWire(message.message));
    }
    if (message.kind === 'answer') this.#asks.answered(from, message.id, message.answer);
    if (message.kind === 'ask') this.#serve(from, message.id, message.ask);
  }

  #serve(from: string, id: string, ask: Ask): void {
    this.#desk!.serve(ask).then(
      (answer) => this.#options.transport.send(from, { v: WIRE_VERSION, kind: 'answer', id, answer } satisfies Envelope),
    ).catch(this.#options.onError);
  }
}
