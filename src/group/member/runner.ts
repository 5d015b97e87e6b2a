/**
 * The loop of one member: look, decide one step, take it, report. It is woken by a change of orders and by the death
 * of its postmaster, so that neither waits for the next round.
 */
import { toReport, type ErrorReport } from '../../errors.ts';
import { Bell, sleep, type Lifecycle } from '../../lifecycle.ts';
import type { MemberReport } from '../model.ts';
import { Member, type MemberEnvironment, type Orders } from './member.ts';
import { nextStep, type Facts, type Step } from './next-step.ts';
import { perform, type Attached } from './perform.ts';
import { reportOf } from './report.ts';
import type { Place } from './place.ts';
import { dropAside } from './steps/clear.ts';

/** Between looks: when all is well, and while something is awaited. */
const IDLE_MS = 2_000;
const WAITING_MS = 50;
const EXPECTING_MS = 200;
/** After a failed step: this, doubled with each further failure, up to the limit. */
const RETRY_MS = 200;
const RETRY_LIMIT_MS = 10_000;

export class MemberRunner {
  readonly member: Member;
  readonly #bell: Bell;
  readonly #publish: (report: MemberReport) => void;
  #aborter: AbortController | null = null;
  #facts: (Facts & { systemIdentifier: string | null }) | null = null;
  /** The orders that facts and step are about: a report must not claim for newer ones what was seen under these. */
  #orders: Orders | null = null;
  #step: Step | null = null;
  #failures = 0;
  #error: ErrorReport | null = null;
  #attached: Attached | null = null;
  #halted = false;
  #published = '';

  constructor(place: Place, environment: Omit<MemberEnvironment, 'wake' | 'progressed'>, orders: Orders, publish: (report: MemberReport) => void) {
    this.#bell = new Bell();
    this.#publish = publish;
    this.member = new Member(place, { ...environment, wake: () => this.#woken(), progressed: () => this.#tell() }, orders);
  }

  start(life: Lifecycle): void {
    life.run(`member ${this.member.place.member}`, (signal) => this.#loop(signal));
  }

  /** New orders: a step under way that they make pointless is broken off. */
  obey(orders: Orders): void {
    const before = this.member.orders;
    if (JSON.stringify(before) === JSON.stringify(orders)) return;
    this.member.orders = orders;
    const otherGoal = before.goal.kind !== orders.goal.kind || before.term !== orders.term || before.record.incarnation !== orders.record.incarnation;
    if (otherGoal) {
      this.#failures = 0;
      this.#error = null;
      this.#aborter?.abort();
    }
    this.#bell.ring();
  }

  /** Stops the postgres whatever the orders are: the agent goes down with its members. The loop must have ended. */
  async halt(): Promise<void> {
    this.#halted = true;
    this.#aborter?.abort();
    await this.member.adopt();
    await this.member.stop('fast');
  }

  report(): MemberReport {
    const { member } = this;
    return reportOf({
      place: member.place,
      orders: this.#orders ?? member.orders,
      facts: this.#facts,
      observation: member.observation,
      pid: member.postmaster?.id.pid ?? null,
      step: this.#step,
      doing: member.step,
      error: this.#error,
      failures: this.#failures,
      systemIdentifier: this.#facts?.systemIdentifier ?? member.orders.systemIdentifier,
      timelineBegin: member.timelineBegin !== null && member.timelineBegin.timeline === member.observation?.timeline ? member.timelineBegin.begin : null,
    });
  }

  /** Something outside the member has changed that its next step may depend on. */
  look(): void {
    this.#bell.ring();
  }

  #woken(): void {
    this.#tell();
    this.#bell.ring();
  }

  /** Publishes when the report says something new. */
  #tell(): void {
    const report = this.report();
    const text = JSON.stringify(report);
    if (text === this.#published) return;
    this.#published = text;
    this.#publish(report);
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#halted) {
      const pause = await this.#round(signal);
      this.#tell();
      await this.#bell.wait(pause, signal);
    }
    await this.member.release();
  }

  /** @returns how long to rest, ms. */
  async #round(signal: AbortSignal): Promise<number> {
    const { member } = this;
    try {
      const { orders } = member;
      const facts = await member.facts();
      // An agent that ends, or a member that is gone: nothing is begun any more.
      if (member.orders !== orders || signal.aborted) return 0;
      this.#facts = facts;
      this.#orders = orders;
      this.#step = nextStep({ goal: orders.goal, member: orders.record, term: orders.term, facts });
      this.#tell();
      if (this.#step.do === 'nothing') return await this.#rest(this.#step);
      await this.#take(this.#step, signal);
      return 0;
    } catch (error) {
      return this.#failed(error, signal);
    }
  }

  async #rest(step: Extract<Step, { do: 'nothing' }>): Promise<number> {
    const { member } = this;
    member.step = null;
    if (!step.reached) {
      if (step.error !== undefined) this.#complain(step.error);
      return step.error === undefined ? WAITING_MS : IDLE_MS;
    }
    this.#failures = 0;
    this.#error = null;
    const { goal } = member.orders;
    if (goal.kind === 'follow') return this.#following();
    // Somebody is about to connect: whoever waits for that learns it from this report.
    if (goal.kind === 'primary' && (member.observation?.followers.length ?? 0) < goal.slots.length) return EXPECTING_MS;
    return IDLE_MS;
  }

  /** A standby runs as it should; the first time that it streams, its attach is complete. */
  async #following(): Promise<number> {
    const { member } = this;
    if (member.observation?.streamingFrom == null) return WAITING_MS;
    if (this.#attached !== null) {
      const { checkpoint, clone, at } = this.#attached;
      this.#attached = null;
      const started = performance.now() - at;
      member.tell({
        level: 'info', kind: 'attached',
        message: `${member.place.member} attached in ${seconds(checkpoint + clone + started)}: checkpoint ${seconds(checkpoint)}, clone ${seconds(clone)}, start and catch-up ${seconds(started)}`,
      });
    }
    await dropAside(member.place, member.environment.volume);
    return IDLE_MS;
  }

  async #take(step: Step, signal: AbortSignal): Promise<void> {
    const aborter = new AbortController();
    this.#aborter = aborter;
    const forward = (): void => aborter.abort();
    signal.addEventListener('abort', forward, { once: true });
    try {
      this.#attached = (await perform(this.member, step, aborter.signal)) ?? this.#attached;
    } catch (error) {
      // Newer orders broke it off: that is no failure.
      if (!aborter.signal.aborted) throw error;
      this.member.environment.log.info({ step: step.do }, 'a step was broken off by newer orders');
    } finally {
      signal.removeEventListener('abort', forward);
      this.#aborter = null;
      this.member.step = null;
    }
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<number> {
    if (signal.aborted) return 0;
    this.#failures += 1;
    this.#complain(toReport(error));
    this.member.environment.log.warn({ err: error, step: this.#step?.do, failures: this.#failures }, 'a step failed');
    this.#tell();
    await sleep(0);
    return Math.min(RETRY_LIMIT_MS, RETRY_MS * 2 ** (this.#failures - 1));
  }

  /** An error is told once, not at every attempt. */
  #complain(error: ErrorReport): void {
    if (this.#error?.message !== error.message) {
      this.member.tell({ level: 'error', kind: 'member-error', message: `${this.member.place.member}: ${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}` });
    }
    this.#error = error;
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
