/** A member that holds data, run by the loop: its postgres. */
import { inStep } from '../../lifecycle.ts';
import type { Goal, MemberReport } from '../model.ts';
import { MemberLoop, UNREACHED_MS, WAITING_MS, type Rest } from './loop.ts';
import { Member, type MemberEnvironment, type Orders } from './member.ts';
import { dataProven, nextStep, type Facts, type Step } from './next-step.ts';
import { perform, type Attached } from './perform.ts';
import { Reach } from './reach.ts';
import { reportOf } from './report.ts';
import type { Place } from './place.ts';
import { IDLE_MS, restAsFollower, restAsPrimary } from './rest.ts';
import { dropAside } from './steps/clear.ts';

type Looked = Facts & { systemIdentifier: string | null };
type Doing = Exclude<Step, { do: 'nothing' }>;

export class MemberRunner extends MemberLoop<Looked, Doing> {
  readonly member: Member;
  #attached: Attached | null = null;
  /** The voters that it was asked for last as a primary, by the number of the change. */
  #asks = { change: -1, since: 0 };
  readonly #reach = new Reach();
  /** Since when it does not stream. */
  #idleSince: number | null = null;

  constructor(place: Place, environment: Omit<MemberEnvironment, 'wake' | 'progressed'>, orders: Orders, publish: (report: MemberReport) => void) {
    super(publish);
    this.member = new Member(place, { ...environment, wake: () => this.woken(), progressed: () => this.tell() }, orders);
  }

  /** Stops the postgres whatever the orders are: the agent goes down with its members. The loop must have ended. */
  async halt(): Promise<void> {
    this.halted = true;
    this.breakOff();
    await this.member.adopt();
    await this.member.stop('fast');
  }

  report(): MemberReport {
    const { member } = this;
    return reportOf({
      place: member.place,
      orders: this.seenUnder ?? member.orders,
      facts: this.facts,
      observation: member.observation,
      pid: member.pid,
      step: this.step,
      doing: member.step,
      error: this.error,
      failures: this.failures,
      systemIdentifier: this.facts?.systemIdentifier ?? member.orders.systemIdentifier,
      history: member.history !== null && member.history.timeline === member.observation?.timeline ? member.history.begins : null,
    });
  }

  protected decide(orders: Orders, facts: Looked): Step {
    return nextStep({ goal: orders.goal, member: orders.record, term: orders.term, facts });
  }

  protected async take(step: Doing, signal: AbortSignal): Promise<void> {
    try {
      this.#attached = (await perform(this.member, step, signal)) ?? this.#attached;
    } finally {
      this.member.step = null;
    }
  }

  protected async rest(step: Rest): Promise<number> {
    const { member } = this;
    member.step = null;
    if (!step.reached) {
      if (step.error !== undefined) this.complain(step.error);
      return step.error === undefined ? WAITING_MS : IDLE_MS;
    }
    this.failures = 0;
    this.error = null;
    const { goal } = member.orders;
    if (dataProven(goal, member.observation?.streamingFrom ?? null)) await dropAside(member.place, member.environment.volume);
    if (goal.kind === 'follow') return this.#following(goal);
    if (goal.kind !== 'primary') return IDLE_MS;
    const now = performance.now();
    if (goal.change !== this.#asks.change) this.#asks = { change: goal.change, since: now };
    return inStep(restAsPrimary(goal, member.observation?.followers.length ?? 0, now - this.#asks.since));
  }

  protected release(): Promise<void> {
    this.#reach.stop();
    return this.member.release();
  }

  /** A standby runs as it should; the first time that it streams, its attach is complete. */
  #following(goal: Extract<Goal, { kind: 'follow' }>): number {
    const { member } = this;
    if (member.observation?.streamingFrom == null) {
      const now = performance.now();
      this.#idleSince ??= now;
      if (now - this.#idleSince >= UNREACHED_MS) this.error = this.#reach.look(goal.upstream, now);
      return WAITING_MS;
    }
    this.#idleSince = null;
    this.#reach.stop();
    if (this.#attached !== null) {
      const { checkpoint, clone, at } = this.#attached;
      this.#attached = null;
      const started = performance.now() - at;
      member.tell({
        level: 'info', kind: 'attached',
        message: `${member.place.member} attached in ${seconds(checkpoint + clone + started)}: checkpoint ${seconds(checkpoint)}, clone ${seconds(clone)}, start and catch-up ${seconds(started)}`,
      });
    }
    return restAsFollower(goal, member.observation.heardMs);
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
