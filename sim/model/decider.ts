/** src/agent/decider.ts of the model: decideGroup and acceptRequest are the real ones, the store and the clock are not. */
import { PgorbitError } from '../../src/errors.ts';
import type { DecisionInput, Seen, Timers } from '../../src/group/decide/context.ts';
import { restOfDecider } from '../../src/group/decide/rest.ts';
import { acceptRequest } from '../../src/group/decide/request.ts';
import type { GroupRecord, MemberReport, OperateRequest } from '../../src/group/model.ts';
import { isMeant } from '../../src/group/news.ts';
import { same } from '../../src/same.ts';
import { SimBell, sleep, waitFor, type Work } from '../kernel/process.ts';
import { writeRecord } from '../world/store.ts';
import type { World } from '../world/world.ts';
import type { ModelAgent } from './agent.ts';

const TRIES = 5;

export class ModelDecider {
  readonly #world: World;
  readonly #agent: ModelAgent;
  readonly #bell = new SimBell();
  #seen: Record<string, Seen> = {};
  #orders: Record<string, number> = {};
  #timers: Timers = {};
  /** The agents' term in which all that was seen and timed. */
  #term = 0;

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

  /** @param order grows with each report that the host writes: one that was overtaken says nothing any more. */
  take(host: string, order: number, reports: readonly MemberReport[]): void {
    this.#forget();
    if (order <= (this.#orders[host] ?? 0)) return;
    this.#orders[host] = order;
    for (const report of reports) {
      if (!isMeant(this.#agent.view.record?.value, report)) continue;
      if (!same(this.#seen[report.member]?.report, report)) this.#bell.ring();
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

  /** What was reported to it in an earlier term of leadership says nothing now. */
  #forget(): void {
    const { term } = this.#agent.raft;
    if (term === this.#term) return;
    this.#term = term;
    this.#seen = {};
    this.#orders = {};
    this.#timers = {};
  }

  *#loop(): Work {
    for (;;) {
      if (this.#agent.raft.self()) yield* this.#decide();
      yield* waitFor(this.#bell, restOfDecider(this.#input(this.#agent.view.record?.value ?? null)));
    }
  }

  *#decide(): Work {
    this.#forget();
    const current = this.#agent.view.record;
    const before = current?.value ?? null;
    const decision = this.#world.decide(this.#input(before));
    this.#timers = decision.timers;
    if (decision.record === null || same(decision.record, before)) return;
    const written = yield* this.#set(current?.revision ?? 0, decision.record);
    this.#bell.ring();
    if (!written) return;
    for (const event of decision.events) this.#world.trace(() => `decided: ${event.message}`);
  }

  /** To the agents' majority and back; what becomes of it may stay unknown. */
  *#set(revision: number, record: GroupRecord): Work<boolean> {
    const { random, rules } = this.#world;
    yield* sleep(random.int(0, 3));
    return yield* this.#agent.raft.write(writeRecord(revision, record, rules.compareAndSet));
  }

  #input(record: GroupRecord | null): DecisionInput {
    const { world, raft, view } = this.#agent;
    return {
      spec: view.spec.value, record, seen: this.#seen, now: world.clock.now, timers: this.#timers,
      addresses: world.addresses, site: null, exclusiveShare: world.shares, leaderFor: raft.ledFor(),
    };
  }
}
