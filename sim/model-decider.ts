/** src/agent/decider.ts of the model: decideGroup and acceptRequest are the real ones, the store and the clock are not. */
import { PgorbitError } from '../src/errors.ts';
import type { DecisionInput, Seen, Timers } from '../src/group/decide/context.ts';
import { acceptRequest } from '../src/group/decide/request.ts';
import type { GroupRecord, MemberReport, OperateRequest } from '../src/group/model.ts';
import type { ModelAgent } from './model-agent.ts';
import { SimBell, sleep, waitFor, type Work } from './process.ts';
import type { World } from './world.ts';

const ROUND_MS = 1_000;
const TRIES = 5;

export class ModelDecider {
  readonly #world: World;
  readonly #agent: ModelAgent;
  readonly #bell = new SimBell();
  readonly #seen: Record<string, Seen> = {};
  #timers: Timers = {};

  constructor(world: World, agent: ModelAgent) {
    this.#world = world;
    this.#agent = agent;
  }

  start(): void {
    this.#agent.process.run(this.#loop());
  }

  soon(): void {
    this.#bell.ring();
  }

  take(reports: readonly MemberReport[]): void {
    for (const report of reports) {
      if (JSON.stringify(this.#seen[report.member]?.report) !== JSON.stringify(report)) this.#bell.ring();
      this.#seen[report.member] = { report, at: this.#world.clock.now };
    }
  }

  *operate(request: OperateRequest): Work {
    const id = `${request.kind}-${this.#world.nextOperation()}`;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const current = this.#agent.view.record;
      if (current === null) throw new PgorbitError('state-conflict', 'the group is only being made');
      const accepted = acceptRequest(this.#input(current.value), current.value, request, id);
      if (yield* this.#set(current.revision, accepted.record)) {
        this.#world.trace(() => `asked: ${JSON.stringify(request)}`);
        this.#bell.ring();
        return;
      }
    }
  }

  *#loop(): Work {
    for (;;) {
      yield* this.#decide();
      yield* waitFor(this.#bell, ROUND_MS);
    }
  }

  *#decide(): Work {
    const current = this.#agent.view.record;
    const before = current?.value ?? null;
    const decision = this.#world.decide(this.#input(before));
    this.#timers = decision.timers;
    if (decision.record === null || JSON.stringify(decision.record) === JSON.stringify(before)) return;
    const written = yield* this.#set(current?.revision ?? 0, decision.record);
    this.#bell.ring();
    if (!written) return;
    for (const event of decision.events) this.#world.trace(() => `decided: ${event.message}`);
  }

  /** To the store and back; an answer may get lost, and a crash may come before or after the write. */
  *#set(revision: number, record: GroupRecord): Work<boolean> {
    const { random, store } = this.#world;
    yield* sleep(random.int(0, 8));
    const written = this.#world.linked(this.#agent.host) && store.setRecord(revision, record);
    yield* sleep(random.int(0, 4));
    return written;
  }

  #input(record: GroupRecord | null): DecisionInput {
    const { world } = this.#agent;
    return {
      spec: this.#agent.view.spec.value, record, seen: this.#seen, now: world.clock.now, timers: this.#timers, leaderFor: world.clock.now,
      addresses: world.addresses, exclusiveShare: world.shares,
    };
  }
}
