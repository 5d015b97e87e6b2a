/**
 * The loop that runs a member, whatever its role: look, decide one step, take it, report. It is woken by a change of
 * orders and by the death of its process, so that neither waits for the next round.
 */
import { toReport, type ErrorReport } from '../../errors.ts';
import { Bell, sleep, type Lifecycle } from '../../lifecycle.ts';
import type { EventDraft } from '../../observe/event.ts';
import type { Log } from '../../observe/log.ts';
import type { MemberReport } from '../model.ts';
import { newsOf } from '../news.ts';
import type { Orders } from './member.ts';
import type { Place } from './place.ts';

/** Nothing to do, or nothing that may be done: `reached` says which. */
export interface Rest {
  do: 'nothing';
  reached: boolean;
  error?: ErrorReport;
}

/** What the loop asks of what it runs. */
interface Controlled<F> {
  readonly place: Place;
  readonly environment: { readonly log: Log };
  orders: Orders;
  facts(): Promise<F>;
  tell(event: EventDraft): void;
}

/** Between looks while something is awaited. */
export const WAITING_MS = 50;
/** An upstream that is about to open does not answer either, and who has just begun does not stream yet: after that it is asked, and said, what keeps it. */
export const UNREACHED_MS = 2_000;
/** After a failed step: this, doubled with each further failure, up to the limit. */
const RETRY_MS = 200;
const RETRY_LIMIT_MS = 10_000;

/** How long to wait after so many failures in a row, ms. */
export const backOff = (failures: number): number => Math.min(RETRY_LIMIT_MS, RETRY_MS * 2 ** (failures - 1));

/** Do the new orders end what is under way? */
export const otherGoal = (before: Orders, after: Orders): boolean =>
  before.goal.kind !== after.goal.kind || before.term !== after.term || before.record.incarnation !== after.record.incarnation;

/** `F`: what a look finds; `S`: the steps that do something. */
export abstract class MemberLoop<F, S extends { do: string }> {
  abstract readonly member: Controlled<F>;
  protected facts: F | null = null;
  /** The orders that facts and step are about: a report must not claim for newer ones what was seen under these. */
  protected seenUnder: Orders | null = null;
  protected step: S | Rest | null = null;
  protected failures = 0;
  protected error: ErrorReport | null = null;
  protected halted = false;
  readonly #bell = new Bell();
  readonly #publish: (report: MemberReport) => void;
  #aborter: AbortController | null = null;
  #published = '';

  constructor(publish: (report: MemberReport) => void) {
    this.#publish = publish;
  }

  abstract report(): MemberReport;
  protected abstract decide(orders: Orders, facts: F): S | Rest;
  /** @param signal newer orders, or the agent's end, make the step pointless */
  protected abstract take(step: S, signal: AbortSignal): Promise<void>;
  /** @returns how long to rest, ms. */
  protected abstract rest(step: Rest): Promise<number>;
  /** Lets go of the process without touching it. */
  protected abstract release(): Promise<void> | void;

  start(life: Lifecycle): void {
    life.run(`member ${this.member.place.member}`, (signal) => this.#loop(signal));
  }

  /** New orders: a step under way that they make pointless is broken off. */
  obey(orders: Orders): void {
    const before = this.member.orders;
    if (JSON.stringify(before) === JSON.stringify(orders)) return;
    this.member.orders = orders;
    if (otherGoal(before, orders)) {
      this.failures = 0;
      this.error = null;
      this.begun();
      this.breakOff();
    }
    this.look();
  }

  /** Something outside the member has changed that its next step may depend on. */
  look(): void {
    this.#bell.ring();
  }

  /** Another goal, term or incarnation than before is to be reached. */
  protected begun(): void {
    // Nothing that a role counts begins anew unless it says so.
  }

  protected breakOff(): void {
    this.#aborter?.abort();
  }

  protected woken(): void {
    this.tell();
    this.look();
  }

  /** Publishes when the report says something new. */
  protected tell(): void {
    const report = this.report();
    const text = newsOf(report);
    if (text === this.#published) return;
    this.#published = text;
    this.#publish(report);
  }

  /** An error is told once, not at every attempt. */
  protected complain(error: ErrorReport): void {
    if (this.error?.message !== error.message) {
      const { member } = this;
      member.tell({ level: 'error', kind: 'member-error', message: `${member.place.member}: ${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}` });
    }
    this.error = error;
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.halted) {
      const pause = await this.#round(signal);
      this.tell();
      await this.#bell.wait(pause, signal);
    }
    await this.release();
  }

  /** @returns how long to rest, ms. */
  async #round(signal: AbortSignal): Promise<number> {
    const { member } = this;
    try {
      const { orders } = member;
      const facts = await member.facts();
      // An agent that ends, or a member that is gone: nothing is begun any more.
      if (member.orders !== orders || signal.aborted) return 0;
      this.facts = facts;
      this.seenUnder = orders;
      const step = this.decide(orders, facts);
      this.step = step;
      this.tell();
      if (isRest(step)) return await this.rest(step);
      await this.#take(step, signal);
      return 0;
    } catch (error) {
      return this.#failed(error, signal);
    }
  }

  async #take(step: S, signal: AbortSignal): Promise<void> {
    const aborter = new AbortController();
    this.#aborter = aborter;
    const forward = (): void => aborter.abort();
    signal.addEventListener('abort', forward, { once: true });
    try {
      await this.take(step, aborter.signal);
    } catch (error) {
      // Newer orders broke it off: that is no failure.
      if (!aborter.signal.aborted) throw error;
      this.member.environment.log.info({ step: step.do }, 'a step was broken off by newer orders');
    } finally {
      signal.removeEventListener('abort', forward);
      this.#aborter = null;
    }
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<number> {
    if (signal.aborted) return 0;
    this.failures += 1;
    this.complain(toReport(error));
    this.member.environment.log.warn({ err: error, step: this.step?.do, failures: this.failures }, 'a step failed');
    this.tell();
    await sleep(0);
    return backOff(this.failures);
  }
}

const isRest = (step: { do: string }): step is Rest => step.do === 'nothing';
