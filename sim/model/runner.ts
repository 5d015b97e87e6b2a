/** src/group/member/runner.ts of the model: look, decide one step, take it, report. nextStep and reportOf are the real ones. */
import { PgorbitError, type ErrorReport } from '../../src/errors.ts';
import { backOff, otherGoal, WAITING_MS } from '../../src/group/member/loop.ts';
import type { Orders } from '../../src/group/member/member.ts';
import { dataProven, nextStep, type Step } from '../../src/group/member/next-step.ts';
import type { Place } from '../../src/group/member/place.ts';
import { reportOf, type ReportInput } from '../../src/group/member/report.ts';
import { IDLE_MS, restAsFollower, restAsPrimary } from '../../src/group/member/rest.ts';
import type { MemberReport } from '../../src/group/model.ts';
import { same } from '../../src/same.ts';
import { SimBell, SimSignal, sleep, waitFor, type Work } from '../kernel/process.ts';
import { StepError } from '../kernel/violation.ts';
import type { ModelAgent } from './agent.ts';
import { ModelMember, type MemberFacts } from './member.ts';
import { dropAside } from './clear.ts';
import { unreached } from './reach.ts';
import { perform } from './steps.ts';

/** The real one goes on with WAITING_MS; the model looks less often at what has not come so soon. */
const QUICK_LOOKS = 15;
const PATIENT_MS = 150;

/** How long to wait after so many looks in a row that found nothing to do, ms. */
export const waiting = (looks: number): number => (looks <= QUICK_LOOKS ? WAITING_MS : PATIENT_MS);

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
  #waits = 0;
  #asks = { change: -1, since: 0 };
  #error: ErrorReport | null = null;
  #ended = false;
  #published: MemberReport | null = null;
  #told: MemberReport | null = null;
  #toldOf: ReportInput | null = null;

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
    if (same(before, orders)) return;
    this.member.orders = orders;
    if (otherGoal(before, orders)) {
      this.#failures = 0;
      this.#waits = 0;
      this.#error = null;
      this.#aborter?.abort();
    }
    this.#bell.ring();
  }

  /** The same object again while nothing that it tells of has changed. */
  report(): MemberReport {
    const { member } = this;
    const { observation, history } = member;
    const input: ReportInput = {
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
      history: history !== null && history.timeline === observation?.timeline ? history.begins : null,
    };
    if (this.#told !== null && this.#toldOf !== null && identical(input, this.#toldOf)) return this.#told;
    this.#toldOf = input;
    const report = reportOf(input);
    if (this.#told === null || !same(this.#told, report)) this.#told = report;
    return this.#told;
  }

  #woken(): void {
    this.#tell();
    this.#bell.ring();
  }

  #tell(): void {
    const report = this.report();
    if (report === this.#published) return;
    this.#published = report;
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
      this.#waits = 0;
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
      return step.error === undefined ? waiting(++this.#waits) : IDLE_MS;
    }
    this.#failures = 0;
    this.#error = null;
    const { goal } = member.orders;
    if (dataProven(goal, member.observation?.streamingFrom ?? null)) dropAside(member.world, member.name);
    if (goal.kind === 'primary') {
      const { now } = member.world.clock;
      if (goal.change !== this.#asks.change) this.#asks = { change: goal.change, since: now };
      this.#waits = 0;
      return restAsPrimary(goal, member.observation?.followers.length ?? 0, now - this.#asks.since);
    }
    if (goal.kind !== 'follow') {
      this.#waits = 0;
      return IDLE_MS;
    }
    if (member.observation?.streamingFrom == null) {
      this.#error = unreached(member.world, member.agent.host, goal.upstream.port);
      return waiting(++this.#waits);
    }
    this.#waits = 0;
    return restAsFollower(goal, member.observation.heardMs);
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

/** Nothing in what a report is made of is ever changed in place. */
function identical(a: ReportInput, b: ReportInput): boolean {
  for (const key in a) if (a[key as keyof ReportInput] !== b[key as keyof ReportInput]) return false;
  return true;
}
