/** Several RaftStores in one process, on one fake clock, over a network that loses, delays and cuts. */
import { seeded } from '../core/testing/node.ts';
import { RaftStore, type RaftStoreOptions } from '../raft-store.ts';
import type { Leadership } from '../../state/store.ts';
import { FakeClock } from './fake-clock.ts';
import { MemoryStorage } from './memory-storage.ts';

interface Host {
  store: RaftStore;
  storage: MemoryStorage;
  /** Told by onLeadership; what a listener believes. */
  told: Leadership;
  up: boolean;
}

export interface ClusterOptions {
  seed?: number;
  /** Of a hundred messages, how many are lost. */
  loss?: number;
  compactAfter?: { entries: number; characters: number };
  requestMs?: number;
}

export class TestCluster {
  readonly clock = new FakeClock();
  readonly hosts = new Map<string, Host>();
  /** Every leadership told to any listener, in order. */
  readonly story: (Leadership & { host: string; at: number })[] = [];
  readonly fatal: { host: string; error: unknown }[] = [];
  readonly errors: unknown[] = [];
  readonly #options: ClusterOptions;
  readonly #handlers = new Map<string, (from: string, message: unknown) => void>();
  readonly #cut = new Set<string>();
  readonly #frozen = new Map<string, (() => void)[]>();
  readonly #draw: (limit: number) => number;
  #runs = 0;

  constructor(options: ClusterOptions = {}) {
    this.#options = options;
    this.#draw = seeded(options.seed ?? 1);
  }

  static async of(names: string[], options: ClusterOptions = {}): Promise<TestCluster> {
    const cluster = new TestCluster(options);
    for (const name of names) {
      const storage = new MemoryStorage();
      cluster.#boot(name, storage);
      await cluster.store(name).bootstrap(names);
      cluster.store(name).start();
    }
    return cluster;
  }

  store(name: string): RaftStore {
    return this.hosts.get(name)!.store;
  }

  names(): string[] {
    return [...this.hosts.keys()];
  }

  up(): string[] {
    return this.names().filter((name) => this.hosts.get(name)!.up);
  }

  /** A host that knows of nobody. */
  addBlank(name: string): void {
    this.#boot(name, new MemoryStorage());
    this.store(name).start();
  }

  async crash(name: string): Promise<void> {
    const host = this.hosts.get(name)!;
    host.up = false;
    this.#handlers.delete(name);
    this.thaw(name);
    host.storage.broken = new Error('crashed');
    await host.store.stop();
  }

  restart(name: string): void {
    this.#boot(name, this.hosts.get(name)!.storage.reopened());
    this.store(name).start();
  }

  /** Nothing passes between the two sides. */
  partition(side: string[]): void {
    this.#cut.clear();
    for (const a of this.names()) for (const b of this.names()) if (side.includes(a) !== side.includes(b)) this.#cut.add(`${a} ${b}`);
  }

  heal(): void {
    this.#cut.clear();
  }

  /** As SIGSTOP: no timer fires, nothing is read; time and the others go on. */
  freeze(name: string): void {
    this.clock.freeze(name);
    if (!this.#frozen.has(name)) this.#frozen.set(name, []);
  }

  thaw(name: string): void {
    this.clock.thaw(name);
    const waiting = this.#frozen.get(name) ?? [];
    this.#frozen.delete(name);
    for (const deliver of waiting) deliver();
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms, () => this.checkLeaders());
  }

  /** Until `promise` is settled, 20 ms at a time, up to a minute. */
  async during<T>(promise: Promise<T>): Promise<T> {
    const outcome = { settled: false };
    const noted = promise.finally(() => {
      outcome.settled = true;
    });
    noted.catch(() => {});
    for (let step = 0; step < 3000 && !outcome.settled; step += 1) await this.advance(20);
    if (!outcome.settled) throw new Error('still waiting after a minute');
    return noted;
  }

  /** The host that leads, once one does. */
  async leader(): Promise<string> {
    for (let step = 0; step < 3000; step += 1) {
      const leading = this.up().find((name) => !this.#frozen.has(name) && this.store(name).leadership().self);
      if (leading !== undefined) return leading;
      await this.advance(20);
    }
    throw new Error('no leader after a minute');
  }

  /** Never may two believe that they lead: not even one that was frozen, when it looks. */
  checkLeaders(): void {
    const leaders = this.up().filter((name) => this.store(name).leadership().self);
    if (leaders.length > 1) throw new Error(`${leaders.join(' and ')} lead at ${this.clock.now()}`);
  }

  async stop(): Promise<void> {
    this.#cut.clear();
    for (const name of this.up()) {
      this.thaw(name);
      await this.store(name).stop();
    }
  }

  #boot(name: string, storage: MemoryStorage): void {
    this.#runs += 1;
    const clock = this.clock.for(name);
    const options: RaftStoreOptions = {
      self: name, storage, clock, run: `run${this.#runs}`, random: seeded(this.#draw(1 << 30)),
      transport: {
        send: (to, message) => this.#send(name, to, JSON.stringify(message)),
        onMessage: (handler) => this.#handlers.set(name, handler),
      },
      onFatal: (error) => {
        if (this.hosts.get(name)?.up) this.fatal.push({ host: name, error });
      },
      onError: (error) => this.errors.push(error),
      ...(this.#options.compactAfter === undefined ? {} : { compactAfter: this.#options.compactAfter }),
      ...(this.#options.requestMs === undefined ? {} : { requestMs: this.#options.requestMs }),
    };
    const store = new RaftStore(options);
    const host: Host = { store, storage, told: store.leadership(), up: true };
    store.onLeadership((leadership) => {
      host.told = leadership;
      this.story.push({ ...leadership, host: name, at: this.clock.now() });
    });
    this.hosts.set(name, host);
  }

  #send(from: string, to: string, message: string): void {
    if (this.#cut.has(`${from} ${to}`) || this.#draw(100) < (this.#options.loss ?? 0)) return;
    this.clock.for('network').after(1 + this.#draw(5), () => this.#arrive(from, to, message));
  }

  #arrive(from: string, to: string, message: string): void {
    const waiting = this.#frozen.get(to);
    if (waiting !== undefined) waiting.push(() => this.#arrive(from, to, message));
    else if (!this.#cut.has(`${from} ${to}`)) this.#handlers.get(to)?.(from, JSON.parse(message) as unknown);
  }
}
