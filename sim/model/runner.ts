/** src/group/member/runner.ts of the model: look, decide one step, take it, report. nextStep and reportOf are the real ones. */
import { PgorbitError, type ErrorReport } from '../../src/errors.ts';
import type { Orders } from '../../src/group/member/member.ts';
import { nextStep, type Step } from '../../src/group/member/next-step.ts';
import type { Place } from '../../src/group/member/place.ts';
import { reportOf } from '../../src/group/member/report.ts';
import type { MemberReport } from '../../src/group/model.ts';
import { SimBell, SimSignal, sleep, waitFor, type Work } from '../kernel/process.ts';
import { StepError } from '../kernel/violation.ts';
import type { ModelAgent } from './agent.ts';
import { ModelMember, type MemberFacts } from './member.ts';
import { dropAside } from './clear.ts';
import { perform } from './steps.ts';

const IDLE_MS = 2_000;
const WAITING_MS = 50;
const EXPECTING_MS = 200;
const RETRY_MS = 200;
const RETRY_LIMIT_MS = 10_000;

export const backOff = (failures: number): number => Math.min(RETRY_LIMIT_MS, RETRY_MS * 2 ** (failures - 1));

/** Do the new orders end what is under way? */
export const otherGoal = (before: Orders, after: Orders): boolean =>
  before.goal.kind !== after.goal.kind || before.term !== after.term || before.record.incarnation !== after.record.incarnation;

export class MemberRunner {
  readonly member: ModelMember;
  readonly #bell = new SimBell();
  readonly #publish: () => void;
  readonly #place: Place;
  #aborter: SimSignal | null = null;
  #facts: MemberFacts | null = null;
  #orders: Orders | null = null;
  #step: Step | null = null;
  #failures = 0;
  #error: ErrorReport | null = null;
  #ended = false;
  #published = '';

  constructor(agent: ModelAgent, orders: Orders, publish: () => void) {
    this.#publish = publish;
    this.#place = { group: agent.world.group, member: orders.record.name, host: agent.host } as Place;
    this.member = new ModelMember(agent, orders.record.name, orders, () => this.#woken(), () => this.#tell());
  }

  get orders(): Orders {
    return this.member.orders;
  }

  start(): void {
    this.member.agent.process.run(this.#loop());
  }

  /** The member is no longer this host's. */
  end(): void {
    this.#ended = true;
    this.#aborter?.abort();
    this.#bell.ring();
  }

  look(): void {
    this.#bell.ring();
  }

  obey(orders: Orders): void {
    const before = this.member.orders;
    if (JSON.stringify(before) === JSON.stringify(orders)) return;
    this.member.orders = orders;
    if (otherGoal(before, orders)) {
      this.#failures = 0;
      this.#error = null;
      this.#aborter?.abort();
    }
    this.#bell.ring();
  }

  report(): MemberReport {
    const { member } = this;
    const { observation, timelineBegin } = member;
    return reportOf({
      place: this.#place,
      orders: this.#orders ?? member.orders,
      facts: this.#facts,
      observation,
      pid: member.postmaster?.pid ?? null,
      step: this.#step,
      doing: member.step,
      error: this.#error,
      failures: this.#failures,
      systemIdentifier: this.#facts?.systemIdentifier ?? member.orders.systemIdentifier,
      timelineBegin: timelineBegin !== null && timelineBegin.timeline === observation?.timeline ? timelineBegin.begin : null,
    });
  }

  #woken(): void {
    this.#tell();
    this.#bell.ring();
  }

  #tell(): void {
    const text = JSON.stringify(this.report());
    if (text === this.#published) return;
    this.#published = text;
    this.#publish();
  }

  *#loop(): Work {
    while (!this.#ended) {
      const pause = yield* this.#round();
      this.#tell();
      yield* waitFor(this.#bell, pause);
    }
  }

  *#round(): Work<number> {
    const { member } = this;
    try {
      const { orders } = member;
      const facts = yield* member.facts();
      if (member.orders !== orders || this.#ended) return 0;
      this.#facts = facts;
      this.#orders = orders;
      this.#step = nextStep({ goal: orders.goal, member: orders.record, term: orders.term, facts });
      this.#tell();
      if (this.#step.do === 'nothing') return this.#rest(this.#step);
      yield* this.#take(this.#step);
      return 0;
    } catch (error) {
      if (!(error instanceof StepError || error instanceof PgorbitError)) throw error;
      return yield* this.#failed(error);
    }
  }

  #rest(step: Extract<Step, { do: 'nothing' }>): number {
    const { member } = this;
    member.step = null;
    if (!step.reached) {
      if (step.error !== undefined) this.#complain(step.error);
      return step.error === undefined ? WAITING_MS : IDLE_MS;
    }
    this.#failures = 0;
    this.#error = null;
    const { goal } = member.orders;
    if (goal.kind === 'primary' && (member.observation?.followers.length ?? 0) < goal.slots.length) return EXPECTING_MS;
    if (goal.kind !== 'follow') return IDLE_MS;
    if (member.observation?.streamingFrom == null) return WAITING_MS;
    dropAside(member.world, member.name);
    return IDLE_MS;
  }

  *#take(step: Step): Work {
    const aborter = new SimSignal();
    this.#aborter = aborter;
    this.member.world.trace(() => `${this.member.name}: ${step.do}${'as' in step ? ` as ${step.as}` : ''}${'mode' in step ? ` ${step.mode}` : ''} (${this.member.orders.goal.kind}, term ${this.member.orders.term})`);
    this.member.world.hazard(this.member.agent.process, this.member.name, step);
    try {
      yield* perform(this.member, step, aborter);
    } finally {
      this.#aborter = null;
      this.member.step = null;
    }
  }

  *#failed(error: StepError | PgorbitError): Work<number> {
    this.#failures += 1;
    this.#complain({ code: error.code as ErrorReport['code'], message: error.message });
    this.#tell();
    yield* sleep(0);
    return backOff(this.#failures);
  }

  #complain(error: ErrorReport): void {
    if (this.#error?.message !== error.message) this.member.world.trace(() => `${this.member.name}: ${error.message}`);
    this.#error = error;
  }
}
