/** One host's agent: what it knows of the documents, the runners of its members, its reports; in one or two of them a decider. */
import { PgorbitError } from '../src/errors.ts';
import type { MemberRecord, OperateRequest } from '../src/group/model.ts';
import type { Engine } from '../src/engine/find.ts';
import { ModelDecider } from './model-decider.ts';
import { ModelRunner } from './model-runner.ts';
import type { Documents } from './model-store.ts';
import { SimBell, SimProcess, sleep, waitFor, type Work } from './process.ts';
import type { World } from './world.ts';

/** Nothing here runs it. */
const ENGINE: Engine = { major: 18, version: '18.0', bin: '/nowhere', source: 'folder', tools: new Set() };

const HEARTBEAT_MS = 1_000;
const REPORT_TIMEOUT_MS = 2_000;

export class ModelAgent {
  readonly world: World;
  readonly host: string;
  readonly process: SimProcess;
  readonly decider: ModelDecider | null;
  readonly runners = new Map<string, ModelRunner>();
  view: Documents;
  readonly #reportBell = new SimBell();
  readonly #changeBell = new SimBell();

  /** @param known what its cache file holds, or the store itself where it is the store's host. */
  constructor(world: World, host: string, known: Documents) {
    this.world = world;
    this.host = host;
    this.view = known;
    this.process = new SimProcess(world.clock, host);
    this.decider = world.deciders.includes(host) ? new ModelDecider(world, this) : null;
  }

  start(): void {
    this.#update();
    this.decider?.start();
    this.process.run(this.#reporting());
    if (!this.world.isStoreHost(this.host)) this.process.run(this.#following());
  }

  /** The store has something newer. */
  storeChanged(): void {
    if (this.world.isStoreHost(this.host)) this.process.deliver(() => this.learn(this.world.store.documents));
    else this.#changeBell.ring();
  }

  learn(documents: Documents): void {
    if (documents.revision <= this.view.revision) return;
    this.view = documents;
    this.world.caches.set(this.host, documents);
    this.#update();
    this.decider?.soon();
  }

  /** Writes a person's request into the record, as Decider.operate does. */
  *operate(request: OperateRequest): Work {
    try {
      yield* this.decider?.operate(request) ?? [];
    } catch (error) {
      if (!(error instanceof PgorbitError)) throw error;
      this.world.trace(() => `refused: ${request.kind}: ${error.message}`);
    }
  }

  #update(): void {
    const { record } = this.view;
    const wanted = new Set<string>();
    for (const member of Object.values(record?.value.members ?? {})) {
      if (member.host !== this.host) continue;
      wanted.add(member.name);
      this.#obey(member);
    }
    for (const [name, runner] of this.runners) {
      if (wanted.has(name)) continue;
      this.runners.delete(name);
      runner.end();
    }
  }

  #obey(member: MemberRecord): void {
    const { record, spec } = this.view;
    const orders = {
      goal: member.goal, term: record!.value.term, record: member, spec: spec.value,
      systemIdentifier: record!.value.systemIdentifier, addresses: [], engine: ENGINE,
    };
    const running = this.runners.get(member.name);
    if (running !== undefined) {
      running.obey(orders);
      return;
    }
    const runner = new ModelRunner(this.world, this.process, this.host, orders, () => this.#reportBell.ring());
    this.runners.set(member.name, runner);
    runner.start();
  }

  *#reporting(): Work {
    for (;;) {
      const reports = [...this.runners.values()].map((runner) => runner.report());
      let lost = false;
      for (const host of this.world.deciders) lost = !this.world.sendReports(this.host, host, reports) || lost;
      yield* sleep(lost ? REPORT_TIMEOUT_MS : this.world.deciders[0] === this.host ? 0 : this.world.random.int(1, 10));
      yield* waitFor(this.#reportBell, HEARTBEAT_MS);
    }
  }

  /** The long poll of a store that lives elsewhere: each answer is the newest state, kept on disk before it is announced. */
  *#following(): Work {
    const { world } = this;
    let pause = 100;
    for (;;) {
      if (world.store.documents.revision > this.view.revision) {
        yield* sleep(world.random.int(1, 15));
        if (world.linked(this.host)) {
          const { documents } = world.store;
          yield* sleep(world.random.int(1, 15));
          this.learn(documents);
          pause = 100;
        } else {
          yield* sleep(pause);
          pause = Math.min(2_000, pause * 2);
        }
      } else yield* waitFor(this.#changeBell, 25_000);
    }
  }
}
