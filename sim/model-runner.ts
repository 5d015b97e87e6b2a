/** src/group/member/runner.ts of the model: look, decide one step, take it, report. nextStep and reportOf are the real ones. */
import { PgorbitError, type ErrorReport } from '../src/errors.ts';
import type { Orders } from '../src/group/member/member.ts';
import { nextStep, type Facts, type Step } from '../src/group/member/next-step.ts';
import type { Place } from '../src/group/member/place.ts';
import { reportOf } from '../src/group/member/report.ts';
import type { MemberReport } from '../src/group/model.ts';
import { ModelMember } from './model-member.ts';
import { dropAside, perform } from './model-steps.ts';
import { SimBell, SimSignal, sleep, waitFor, type SimProcess, type Work } from './process.ts';
import { StepError } from './violation.ts';
import type { World } from './world.ts';

const IDLE_MS = 1_000;
const WAITING_MS = 50;
const RETRY_MS = 200;
const RETRY_LIMIT_MS = 10_000;

export class ModelRunner {
  readonly member: ModelMember;
  readonly #world: World;
  readonly #bell = new SimBell();
  readonly #publish: () => void;
  readonly #place: Place;
  #aborter: SimSignal | null = null;
  #facts: (Facts & { systemIdentifier: string | null }) | null = null;
  #orders: Orders | null = null;
  #step: Step | null = null;
  #failures = 0;
  #error: ErrorReport | null = null;
  #ended = false;
  #published = '';

  constructor(world: World, agent: SimProcess, host: string, orders: Orders, publish: () => void) {
    this.#world = world;
    this.#publish = publish;
    this.#place = { group: world.group, member: orders.record.name, host } as Place;
    this.member = new ModelMember(world, agent, orders.record.name, orders, () => this.#woken(), () => this.#tell());
  }

  start(): void {
    this.member.agent.run(this.#loop());
  }

  /** The member is no longer this host's. */
  end(): void {
    this.#ended = true;
    this.#aborter?.abort();
    this.#bell.ring();
  }

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

  report(): MemberReport {
    const { member } = this;
    return reportOf({
      place: this.#place,
      orders: this.#orders ?? member.orders,
      facts: this.#facts,
      observation: member.observation,
      pid: member.postmaster?.pid ?? null,
      step: this.#step,
      doing: member.step,
      error: this.#error,
      failures: this.#failures,
      systemIdentifier: this.#facts?.systemIdentifier ?? member.orders.systemIdentifier,
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
      if (member.orders !== orders) return 0;
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
    if (member.orders.goal.kind !== 'follow') return IDLE_MS;
    if (member.observation?.streamingFrom == null) return WAITING_MS;
    dropAside(member);
    return IDLE_MS;
  }

  *#take(step: Step): Work {
    const aborter = new SimSignal();
    this.#aborter = aborter;
    this.#world.trace(() => `${this.member.name}: ${step.do}${'as' in step ? ` as ${step.as}` : ''}${'mode' in step ? ` ${step.mode}` : ''} (${this.member.orders.goal.kind}, term ${this.member.orders.term})`);
    this.#world.hazard(this.member.agent, this.member.name, step);
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
    return Math.min(RETRY_LIMIT_MS, RETRY_MS * 2 ** (this.#failures - 1));
  }

  #complain(error: ErrorReport): void {
    if (this.#error?.message !== error.message) this.#world.trace(() => `${this.member.name}: ${error.message}`);
    this.#error = error;
  }
}
