/**
 * The loop of one logger: look, decide one step, take it, report. It is woken by a change of orders and by the death of
 * its process, so that neither waits for the next round. The same surface as MemberRunner's.
 */
import { toReport, type ErrorReport } from '../../errors.ts';
import { Bell, sleep, type Lifecycle } from '../../lifecycle.ts';
import type { Orders } from '../member/member.ts';
import type { Place } from '../member/place.ts';
import type { MemberReport } from '../model.ts';
import { LoggerMember, type LoggerEnvironment } from './member.ts';
import { nextStep, type Facts, type Step } from './next-step.ts';
import { reportOf } from './report.ts';

/** Between looks: when all is well, while something is awaited, and when that has lasted. */
const IDLE_MS = 1_000;
const WAITING_MS = 50;
const PATIENT_MS = 500;
/** From when on a wait has lasted. */
const LONG_MS = 10_000;
/** After a failed step: this, doubled with each further failure, up to the limit. */
const RETRY_MS = 200;
const RETRY_LIMIT_MS = 10_000;

export class LoggerRunner {
  readonly member: LoggerMember;
  readonly #bell = new Bell();
  readonly #publish: (report: MemberReport) => void;
  #aborter: AbortController | null = null;
  #facts: Facts | null = null;
  /** The orders that facts and step are about: a report must not claim for newer ones what was seen under these. */
  #orders: Orders | null = null;
  #step: Step | null = null;
  #failures = 0;
  #error: ErrorReport | null = null;
  /** Deaths in a row of a process that had hardly begun: the next start waits. */
  #deaths = 0;
  #waitingSince: number | null = null;
  #halted = false;
  #published = '';

  constructor(place: Place, environment: Omit<LoggerEnvironment, 'wake'>, orders: Orders, publish: (report: MemberReport) => void) {
    this.#publish = publish;
    this.member = new LoggerMember(place, { ...environment, wake: () => this.#died() }, orders);
  }

  start(life: Lifecycle): void {
    life.run(`logger ${this.member.place.member}`, (signal) => this.#loop(signal));
  }

  /** New orders are looked at at once. */
  obey(orders: Orders): void {
    const before = this.member.orders;
    if (JSON.stringify(before) === JSON.stringify(orders)) return;
    this.member.orders = orders;
    if (before.goal.kind !== orders.goal.kind || before.term !== orders.term || before.record.incarnation !== orders.record.incarnation) {
      this.#failures = 0;
      this.#error = null;
      this.#waitingSince = null;
      this.#aborter?.abort();
    }
    this.#bell.ring();
  }

  /**
   * What the logger must not purge: the least positions (X/Y) that members and archive still lack. Null, as before the
   * first call: not known, nothing is purged.
   */
  setHolds(positions: string[] | null): void {
    if (JSON.stringify(positions) === JSON.stringify(this.member.holds)) return;
    this.member.holds = positions;
    this.#bell.ring();
  }

  /** Something outside the member has changed that its next step may depend on. */
  look(): void {
    this.#bell.ring();
  }

  /** Stops the process whatever the orders are: the agent goes down with its members. The loop must have ended. */
  async halt(): Promise<void> {
    this.#halted = true;
    await this.member.adopt();
    await this.member.stop();
  }

  report(): MemberReport {
    const { member } = this;
    return reportOf({
      place: member.place,
      orders: this.#orders ?? member.orders,
      facts: this.#facts,
      status: member.status,
      promised: member.promised,
      pid: member.process?.id.pid ?? null,
      step: this.#step,
      error: this.#error,
      failures: this.#failures,
    });
  }

  /** The process has ended. */
  #died(): void {
    const { member } = this;
    if (!member.stopping) {
      const lived = performance.now() - member.since;
      this.#deaths = lived < LONG_MS ? this.#deaths + 1 : 0;
      if (!this.#halted) member.tell({ level: 'warning', kind: 'logger-ended', message: `the process of ${member.place.member} ended: it is started again` });
    }
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
    this.member.release();
  }

  /** @returns how long to rest, ms. */
  async #round(signal: AbortSignal): Promise<number> {
    const { member } = this;
    try {
      const { orders } = member;
      const facts = await member.facts();
      if (member.orders !== orders) return 0;
      this.#facts = facts;
      this.#orders = orders;
      this.#step = nextStep({ goal: orders.goal, member: orders.record, term: orders.term, facts });
      this.#tell();
      if (this.#step.do === 'nothing') return await this.#rest(this.#step);
      if (this.#step.do === 'start' && this.#deaths > 1) await this.#pause(backOff(this.#deaths - 1), signal);
      if (member.orders === orders && !signal.aborted) await member.take(this.#step);
      return 0;
    } catch (error) {
      return this.#failed(error, signal);
    }
  }

  /** A rest that new orders end. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const aborter = new AbortController();
    this.#aborter = aborter;
    const forward = (): void => aborter.abort();
    signal.addEventListener('abort', forward, { once: true });
    await sleep(ms, aborter.signal);
    signal.removeEventListener('abort', forward);
    this.#aborter = null;
  }

  async #rest(step: Extract<Step, { do: 'nothing' }>): Promise<number> {
    const { member } = this;
    if (!step.reached) {
      if (step.error !== undefined) this.#complain(step.error);
      return step.error === undefined ? this.#waiting() : IDLE_MS;
    }
    this.#failures = 0;
    const upstream = member.status?.upstream ?? null;
    if (member.orders.goal.kind !== 'follow' || upstream?.state === 'streaming') {
      this.#error = null;
      this.#waitingSince = null;
      if (member.orders.goal.kind === 'follow') await member.settle();
      return IDLE_MS;
    }
    // A full disk is for a person to hear of. The rest passes as a rule, an upstream that is not up yet, say: it is shown.
    if (upstream?.state === 'disk-full' && upstream.error !== null) this.#complain(upstream.error);
    else this.#error = upstream?.state === 'failed' ? upstream.error : null;
    return this.#waiting();
  }

  #waiting(): number {
    this.#waitingSince ??= performance.now();
    return performance.now() - this.#waitingSince < LONG_MS ? WAITING_MS : PATIENT_MS;
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<number> {
    if (signal.aborted) return 0;
    this.#failures += 1;
    this.#complain(toReport(error));
    this.member.environment.log.warn({ err: error, step: this.#step?.do, failures: this.#failures }, 'a step failed');
    this.#tell();
    return backOff(this.#failures);
  }

  /** An error is told once, not at every attempt. */
  #complain(error: ErrorReport): void {
    if (this.#error?.message !== error.message) {
      const { member } = this;
      member.tell({ level: 'error', kind: 'member-error', message: `${member.place.member}: ${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}` });
    }
    this.#error = error;
  }
}

const backOff = (failures: number): number => Math.min(RETRY_LIMIT_MS, RETRY_MS * 2 ** (failures - 1));
