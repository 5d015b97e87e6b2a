/** src/group/logger of the model: one logger on its host, look, decide one step, take it, report. nextStep and reportOf are the real ones. */
import { PgorbitError, type ErrorReport } from '../../src/errors.ts';
import { nextStep, type Facts, type Step } from '../../src/group/logger/next-step.ts';
import { reportOf } from '../../src/group/logger/report.ts';
import { backOff, otherGoal } from '../../src/group/member/loop.ts';
import type { Orders } from '../../src/group/member/member.ts';
import type { MemberReport } from '../../src/group/model.ts';
import { same } from '../../src/same.ts';
import { SimBell, sleep, waitFor, type Work } from '../kernel/process.ts';
import { StepError } from '../kernel/violation.ts';
import type { Folder } from '../world/disks.ts';
import type { World } from '../world/world.ts';
import type { ModelAgent } from './agent.ts';
import { dropAside, remove, setAside } from './clear.ts';
import { ModelLogger } from './logger.ts';
import { statusOf } from './logger-status.ts';
import { unreached } from './reach.ts';
import { waiting } from './runner.ts';

const IDLE_MS = 1_000;

export class LoggerRunner {
  orders: Orders;
  readonly #agent: ModelAgent;
  readonly #world: World;
  readonly #name: string;
  readonly #bell = new SimBell();
  readonly #publish: () => void;
  #server: ModelLogger | null = null;
  #status: ReturnType<typeof statusOf> | null = null;
  #promised: MemberReport['promised'] = null;
  #stopping = false;
  #facts: Facts | null = null;
  #decided: Orders | null = null;
  #step: Step | null = null;
  #failures = 0;
  #waits = 0;
  #error: ErrorReport | null = null;
  #ended = false;
  #told: MemberReport | null = null;
  #published: MemberReport | null = null;

  constructor(agent: ModelAgent, orders: Orders, publish: () => void) {
    this.#agent = agent;
    this.#world = agent.world;
    this.#name = orders.record.name;
    this.orders = orders;
    this.#publish = publish;
  }

  start(): void {
    this.#agent.process.run(this.#loop());
  }

  end(): void {
    this.#ended = true;
    this.#bell.ring();
  }

  look(): void {
    this.#bell.ring();
  }

  obey(orders: Orders): void {
    const before = this.orders;
    if (same(before, orders)) return;
    this.orders = orders;
    if (otherGoal(before, orders)) {
      this.#failures = 0;
      this.#waits = 0;
      this.#error = null;
    }
    this.#bell.ring();
  }

  /** The same object again while it says the same. */
  report(): MemberReport {
    const report = reportOf({
      place: { group: this.#world.group, member: this.#name, host: this.#agent.host },
      orders: this.#decided ?? this.orders, facts: this.#facts, status: this.#status, promised: this.#promised, pid: this.#server?.pid ?? null,
      step: this.#step, error: this.#error, failures: this.#failures,
    });
    if (this.#told === null || !same(this.#told, report)) this.#told = report;
    return this.#told;
  }

  get #folder(): Folder | undefined {
    return this.#world.disks.folderOf(this.#name, this.#agent.host);
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
    try {
      const { orders } = this;
      const facts = yield* this.#look();
      if (this.orders !== orders || this.#ended) return 0;
      this.#facts = facts;
      this.#decided = orders;
      const step = nextStep({ goal: orders.goal, member: orders.record, term: orders.term, facts });
      this.#step = step;
      this.#tell();
      if (step.do === 'nothing') return this.#rest(step);
      this.#world.trace(() => `${this.#name}: ${step.do} (${orders.goal.kind}, term ${orders.term})`);
      this.#world.hazard(this.#agent.process, this.#name, step);
      this.#waits = 0;
      yield* this.#take(step, orders);
      return 0;
    } catch (error) {
      if (!(error instanceof StepError || error instanceof PgorbitError)) throw error;
      this.#failures += 1;
      this.#complain({ code: error.code as ErrorReport['code'], message: error.message });
      this.#tell();
      return backOff(this.#failures);
    }
  }

  #rest(step: Extract<Step, { do: 'nothing' }>): number {
    if (!step.reached) {
      if (step.error === undefined) return waiting(++this.#waits);
      this.#complain(step.error);
      return IDLE_MS;
    }
    this.#failures = 0;
    this.#error = null;
    if (this.orders.goal.kind !== 'follow') return IDLE_MS;
    if (this.#status?.upstream?.state !== 'streaming') {
      this.#error = unreached(this.#world, this.#agent.host, this.orders.goal.upstream.port);
      return waiting(++this.#waits);
    }
    this.#waits = 0;
    dropAside(this.#world, this.#name);
    return IDLE_MS;
  }

  #complain(error: ErrorReport): void {
    if (this.#error?.message !== error.message) this.#world.trace(() => `${this.#name}: ${error.message}`);
    this.#error = error;
  }

  // ------------------------------------------------------------------ looking

  *#look(): Work<Facts> {
    const found = this.#world.disks.serverIn(this.#folder);
    if (this.#server === null && found instanceof ModelLogger) this.#watch(found);
    yield* this.#pause(4);
    const server = this.#server;
    this.#status = server?.answers ? statusOf(server) : null;
    const folder = this.#folder;
    const { runtime } = this.#world.disks.home(this.#name, this.#agent.host);
    const upstream = server?.upstream ?? null;
    return {
      data: folder === undefined ? null : { incarnation: folder.marker.incarnation, empty: folder.data === null },
      debris: false,
      aside: this.orders.goal.kind === 'remove' && this.#world.disks.hasAside(this.#name, this.#agent.host),
      process: server === null ? 'none' : this.#stopping ? 'stopping' : this.#status === null ? 'starting' : 'ready',
      startedFor: runtime.incarnation === folder?.marker.incarnation ? runtime.restarts : 0,
      settings: 'same',
      promisedTerm: this.#status?.term ?? 0,
      answeredTerm: this.#promised?.term ?? 0,
      current: !this.#world.rules.current || this.#agent.raft.current,
      following: upstream === null ? null : { host: '127.0.0.1', port: upstream.port, slot: upstream.slot, name: upstream.name, term: upstream.term },
    };
  }

  *#pause(most: number): Work {
    yield* sleep(this.#world.random.int(0, most));
  }

  #watch(server: ModelLogger): void {
    this.#server = server;
    this.#stopping = false;
    const exited = (): void => {
      if (this.#server !== server) return;
      this.#server = null;
      this.#status = null;
      this.#promised = null;
      this.#bell.ring();
    };
    if (server.alive) server.onExit.push(() => this.#agent.process.after(0, exited));
    else exited();
  }

  // ------------------------------------------------------------------ acting

  *#take(step: Step, orders: Orders): Work {
    const { disks } = this.#world;
    yield* this.#pause(4);
    switch (step.do) {
      case 'make-folder':
        disks.folders.set(this.#name, { host: this.#agent.host, marker: { member: this.#name, incarnation: orders.record.incarnation, term: orders.term }, fenced: null, lock: null, data: null });
        return;
      case 'set-aside':
        return yield* setAside(this.#world, this.#name);
      case 'start':
        return yield* this.#start(orders);
      case 'stop':
        return yield* this.#stop();
      case 'follow':
        if (orders.goal.kind !== 'follow') throw new StepError('internal', 'nobody to follow');
        this.#running().follow({ port: orders.goal.upstream.port, slot: orders.goal.slot, name: orders.goal.name, term: orders.term });
        return;
      case 'promise':
        return yield* this.#promise(orders);
      case 'remove':
        return yield* remove(this.#world, { name: this.#name, host: this.#agent.host, runs: () => this.#server !== null });
      default:
        throw new StepError('internal', `a logger's ${step.do}`);
    }
  }

  #running(): ModelLogger {
    if (this.#server === null || !this.#server.answers) throw new StepError('internal', `${this.#name} does not answer`);
    return this.#server;
  }

  *#promise({ term, record }: Orders): Work {
    const { promiseFirst } = this.#world.rules;
    const early = promiseFirst ? null : statusOf(this.#running());
    if (early !== null) yield* this.#pause(50);
    this.#running().promise(term);
    const { flushed, timeline } = early ?? statusOf(this.#running());
    yield* this.#pause(4);
    if (flushed === null && record.joined) throw new StepError('unsafe', `${this.#name} has lost the WAL that it acknowledged`);
    this.#promised = { term, timeline, lsn: flushed ?? '0/0' };
  }

  *#start({ record }: Orders): Work {
    const folder = this.#folder;
    if (folder === undefined) throw new StepError('internal', `${this.#name} has no folder to start in`);
    if (this.#world.startsFail.has(this.#name)) throw new StepError('port-in-use', `port ${record.port} of ${this.#name} is in use`);
    this.#world.disks.home(this.#name, this.#agent.host).runtime = { restarts: record.restarts, incarnation: folder.marker.incarnation };
    folder.data ??= {
      wal: [], flushed: 0, standbySignal: true, clean: true, slots: new Set(), accounts: false, systemIdentifier: '7000000000000000001', conf: '',
      torn: false, oldest: 0, reserved: 0, logger: { promised: 0, promisedDurably: 0, walTerm: 0 },
    };
    const server = new ModelLogger(this.#world, { member: this.#name, folder, port: record.port });
    this.#world.trace(() => `logger ${server.pid} of ${this.#name} is started`);
    this.#watch(server);
    while (server.alive && server.phase === 'booting') yield* sleep(5);
    if (!server.alive) throw new StepError('postgres-failed', `the logger ${this.#name} ended at once`);
  }

  *#stop(): Work {
    const server = this.#server;
    if (server === null) return;
    this.#stopping = true;
    server.stop();
    while (server.alive) yield* sleep(5);
  }
}
