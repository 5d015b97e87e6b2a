/** A member that stores WAL alone, run by the loop: its logger process. */
import { inStep, sleep } from '../../lifecycle.ts';
import { backOff, MemberLoop, UNREACHED_MS, WAITING_MS, type Rest } from '../member/loop.ts';
import type { Orders } from '../member/member.ts';
import type { Place } from '../member/place.ts';
import type { MemberReport } from '../model.ts';
import { LoggerMember, type LoggerEnvironment } from './member.ts';
import { nextStep, type Facts, type Step } from './next-step.ts';
import { reportOf } from './report.ts';

/** Between looks: when all is well, and when a wait has lasted. */
const IDLE_MS = 1_000;
const PATIENT_MS = 500;
/** From when on a wait has lasted. */
const LONG_MS = 10_000;

type Doing = Exclude<Step, { do: 'nothing' }>;

export class LoggerRunner extends MemberLoop<Facts, Doing> {
  readonly member: LoggerMember;
  /** Deaths in a row of a process that had hardly begun: the next start waits. */
  #deaths = 0;
  #waitingSince: number | null = null;

  constructor(place: Place, environment: Omit<LoggerEnvironment, 'wake'>, orders: Orders, publish: (report: MemberReport) => void) {
    super(publish);
    this.member = new LoggerMember(place, { ...environment, wake: () => this.#died() }, orders);
  }

  /**
   * What the logger must not purge: the least positions (X/Y) that members and archive still lack. Null, as before the
   * first call: not known, nothing is purged.
   */
  setHolds(positions: string[] | null): void {
    if (JSON.stringify(positions) === JSON.stringify(this.member.holds)) return;
    this.member.holds = positions;
    this.look();
  }

  /** Stops the process whatever the orders are: the agent goes down with its members. The loop must have ended. */
  async halt(): Promise<void> {
    this.halted = true;
    await this.member.adopt();
    await this.member.stop();
  }

  report(): MemberReport {
    const { member } = this;
    return reportOf({
      place: member.place,
      orders: this.seenUnder ?? member.orders,
      facts: this.facts,
      status: member.status,
      promised: member.promised,
      pid: member.process?.id.pid ?? null,
      step: this.step,
      error: this.error,
      failures: this.failures,
    });
  }

  protected decide(orders: Orders, facts: Facts): Step {
    return nextStep({ goal: orders.goal, member: orders.record, term: orders.term, facts });
  }

  /** @param signal ends the wait before a start; what has begun is brought to its end */
  protected async take(step: Doing, signal: AbortSignal): Promise<void> {
    const { member } = this;
    const { orders } = member;
    if (step.do === 'start' && this.#deaths > 1) await sleep(backOff(this.#deaths - 1), signal);
    if (member.orders === orders && !signal.aborted) await member.take(step);
  }

  protected override begun(): void {
    this.#waitingSince = null;
  }

  protected release(): void {
    this.member.release();
  }

  protected async rest(step: Rest): Promise<number> {
    const { member } = this;
    if (!step.reached) {
      if (step.error !== undefined) this.complain(step.error);
      return step.error === undefined ? this.#waiting() : IDLE_MS;
    }
    this.failures = 0;
    const upstream = member.status?.upstream ?? null;
    if (member.orders.goal.kind !== 'follow' || upstream?.state === 'streaming') {
      this.error = null;
      this.#waitingSince = null;
      if (member.orders.goal.kind === 'follow') await member.settle();
      return inStep(IDLE_MS);
    }
    // A full disk is for a person to hear of. The rest passes as a rule, an upstream that is not up yet, say: it is shown.
    if (upstream?.state === 'disk-full' && upstream.error !== null) this.complain(upstream.error);
    else this.error = upstream?.state === 'failed' || this.#waited() >= UNREACHED_MS ? (upstream?.error ?? null) : null;
    return this.#waiting();
  }

  #waiting(): number {
    return this.#waited() < LONG_MS ? WAITING_MS : PATIENT_MS;
  }

  #waited(): number {
    this.#waitingSince ??= performance.now();
    return performance.now() - this.#waitingSince;
  }

  /** The process has ended. */
  #died(): void {
    const { member } = this;
    if (!member.stopping) {
      const lived = performance.now() - member.since;
      this.#deaths = lived < LONG_MS ? this.#deaths + 1 : 0;
      if (!this.halted) member.tell({ level: 'warning', kind: 'logger-ended', message: `the process of ${member.place.member} ended: it is started again` });
    }
    this.woken();
  }
}
