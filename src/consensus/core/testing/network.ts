/**
 * A whole group under a random schedule: messages are lost, late, doubled and reordered, links are cut one way, nodes
 * crash at any point of a Ready and forget what was not synced. Every action is decided by one whole number, so that a
 * failing schedule is a short list of numbers, and shrinks.
 */
import type { ConfChange, Message, Rule } from '../types.ts';
import { Invariants } from './invariants.ts';
import { copyOf, CRASH_POINTS, SimNode, seeded, type CrashPoint } from './node.ts';

export interface NetworkOptions {
  voters: number;
  /** Nodes that start blank, to be added as members. */
  spares: number;
  seed: number;
  disabledRules?: Rule[];
  /** Breaks the driver's rule: messages leave before the state they tell of is durable. */
  sendBeforePersist?: boolean;
  /** All nodes tick together, so that leases can be compared. */
  lockstep?: boolean;
  /** Less quiet running, more elections that nobody hears the end of. */
  storm?: boolean;
}

const ELECTION_TICKS = 6;
/** Beyond it the oldest messages are lost. */
const LONGEST_QUEUE = 200;

export class Network {
  readonly nodes: SimNode[];
  readonly invariants = new Invariants();
  readonly #options: NetworkOptions;
  #queue: Message[] = [];
  #cut = new Set<string>();
  #frozen = new Set<string>();
  /** What frozen nodes have yet to read. */
  #held: Message[] = [];
  #count = 0;
  /** Proposals taken by a leader, to tell runs that do something from those that do not. */
  proposed = 0;

  constructor(options: NetworkOptions) {
    this.#options = options;
    const names = Array.from({ length: options.voters + options.spares }, (_, at) => `n${at + 1}`);
    const conf = { voters: names.slice(0, options.voters), learners: [] };
    const rules = options.disabledRules;
    this.nodes = names.map((id, at) => new SimNode({
      id, electionTicks: ELECTION_TICKS, heartbeatTicks: 2, maxBatch: -1, maxInflight: 3,
      random: seeded(options.seed * 31 + at), ...(rules === undefined ? {} : { disabledRules: new Set(rules) }),
    }, at < options.voters ? conf : null));
  }

  /** Carries out the action that `choice` stands for. Throws when it breaks an invariant. */
  act(choice: number): void {
    const draw = seeded(choice);
    const node = this.nodes[draw(this.nodes.length)]!;
    const leader = this.nodes.findLast(({ raft }) => raft?.status().role === 'leader');
    const stale = this.nodes.find(({ raft }) => raft?.status().role === 'leader');
    const dice = draw(100);
    const storm = this.#options.storm === true;
    if (dice < (storm ? 8 : 42)) this.#rounds(draw, 1 + draw(6));
    else if (dice < (storm ? 30 : 50)) this.#onlyElections(draw(2) === 0);
    else if (dice < (storm ? 54 : 53)) this.#talk(draw, 1 + draw(8));
    else if (dice < 56) this.#deliverSome(draw, 1 + draw(8));
    else if (dice < 65) this.#propose(draw(3) === 0 ? node : leader ?? node);
    else if (dice < 71) this.#read([node, leader, stale][draw(3)] ?? node);
    else if (dice < 76) this.#partition(draw);
    else if (dice < 80) this.#cut.clear();
    else if (dice < 85) this.#crash(draw(2) === 0 ? node : leader ?? node, draw);
    else if (dice < 90) this.#restart(draw);
    else if (dice < 93) this.#freeze(draw(2) === 0 ? node : leader ?? node);
    else if (dice < 94) (leader ?? node).raft?.transferLeader(node.id);
    else if (dice < 96) node.compact(draw(3));
    else if (dice < 99) this.#member(leader ?? node, node, draw);
    else this.#queue = this.#queue.filter(() => draw(2) === 0);
    this.#settle();
  }

  /** Everything works again for a while: does the group come back, and agree? */
  recover(): void {
    this.#cut.clear();
    this.#thaw();
    for (const node of this.nodes) {
      node.crashAt = null;
      if (node.raft === null) node.start();
    }
    for (let round = 0; round < 20 * ELECTION_TICKS; round += 1) this.#round(() => 1);
  }

  #settle(): void {
    for (const node of this.nodes) this.#process(node);
    Invariants.logsMatch(this.nodes);
  }

  #process(node: SimNode): void {
    for (let ready = node.raft?.ready(); ready !== null && ready !== undefined; ready = node.raft?.ready()) {
      const crash = node.crashAt;
      if (this.#options.sendBeforePersist === true) this.#send(ready.messages);
      if (crash === 'after-hard-state' && ready.hardState !== null && ready.mustSync) {
        node.disk.hardState = { ...ready.hardState, commit: node.disk.hardState.commit };
      }
      if (crash === 'before-persist' || crash === 'after-hard-state') return node.crash();
      node.persist(ready);
      if (crash === 'before-send') return node.crash();
      if (this.#options.sendBeforePersist !== true) {
        this.#send(crash === 'mid-send' ? ready.messages.slice(0, ready.messages.length / 2) : ready.messages);
      }
      this.invariants.leading(node);
      if (crash !== null) return node.crash();
      this.invariants.applying(node, ready);
      node.apply(ready);
      node.raft!.advance();
    }
  }

  #send(messages: Message[]): void {
    this.#queue.push(...messages.map(copyOf));
    if (this.#queue.length > LONGEST_QUEUE) this.#queue.splice(0, LONGEST_QUEUE / 2);
  }

  #arrive(message: Message): void {
    if (this.#frozen.has(message.to)) {
      this.#held.push(message);
      return;
    }
    const node = this.nodes.find(({ id }) => id === message.to);
    if (node === undefined || node.raft === null || this.#cut.has(`${message.from} ${message.to}`)) return;
    node.raft.step(copyOf(message));
    this.#process(node);
  }

  #rounds(draw: (limit: number) => number, count: number): void {
    for (let at = 0; at < count; at += 1) this.#round(draw);
  }

  /** A tick of all (or most) nodes, then most of what is under way arrives, in any order. */
  #round(draw: (limit: number) => number): void {
    this.#tickAll(() => this.#options.lockstep === true || draw(8) > 0);
    for (let hop = 0; hop < 4; hop += 1) {
      const due = this.#queue;
      this.#queue = [];
      while (due.length > 0) {
        const [message] = due.splice(draw(3) === 0 ? draw(due.length) : 0, 1);
        const fate = draw(30);
        if (fate === 0) continue;
        if (fate === 2) this.#queue.push(message!);
        this.#arrive(message!);
      }
    }
    if (this.#options.lockstep === true) Invariants.oneLease(this.nodes);
  }

  /** Time for an election, and nothing but elections gets through: leaders come and go with entries that few have. */
  #onlyElections(dropRest: boolean): void {
    const before = this.#queue;
    for (let tick = 0; tick < 2 * ELECTION_TICKS; tick += 1) {
      this.#tickAll(() => true);
      for (let hop = 0; hop < 4; hop += 1) {
        const votes = this.#queue.filter(({ type }) => type.includes('vote'));
        this.#queue = [];
        for (const message of votes) this.#arrive(message);
      }
      if (this.nodes.some(({ raft }) => raft?.status().role === 'leader' && !raft.status().committedInTerm)) break;
    }
    if (!dropRest) this.#queue.unshift(...before);
  }

  /** Two nodes exchange a few messages, in order; nothing else moves. */
  #talk(draw: (limit: number) => number, count: number): void {
    const pair = new Set([this.nodes[draw(this.nodes.length)]!.id, this.nodes[draw(this.nodes.length)]!.id]);
    for (let at = 0; at < count; at += 1) {
      const index = this.#queue.findIndex(({ from, to }) => pair.has(from) && pair.has(to));
      if (index === -1) return;
      this.#arrive(this.#queue.splice(index, 1)[0]!);
    }
  }

  /** A frozen node neither ticks nor reads, and does not know it; what is sent to it waits. */
  #freeze(node: SimNode): void {
    if (this.#options.lockstep === true || this.#frozen.has(node.id)) this.#thaw();
    else this.#frozen.add(node.id);
  }

  #thaw(): void {
    this.#frozen.clear();
    this.#queue.push(...this.#held);
    this.#held = [];
  }

  #tickAll(which: () => boolean): void {
    for (const node of this.nodes) {
      if (node.raft === null || this.#frozen.has(node.id) || !which()) continue;
      node.raft.tick();
      this.#process(node);
    }
    if (this.#options.lockstep === true) Invariants.oneLease(this.nodes);
  }

  #deliverSome(draw: (limit: number) => number, count: number): void {
    for (let at = 0; at < count && this.#queue.length > 0; at += 1) {
      const index = draw(this.#queue.length);
      const message = this.#queue[index]!;
      if (draw(6) > 0) this.#queue.splice(index, 1);
      this.#arrive(message);
    }
  }

  #propose(node: SimNode): void {
    this.#count += 1;
    if (node.raft?.propose(`p${this.#count}`).ok === true) this.proposed += 1;
  }

  #read(node: SimNode): void {
    this.#count += 1;
    const context = `r${this.#count}`;
    this.invariants.readAsked(context);
    node.raft?.readIndex(context);
  }

  #partition(draw: (limit: number) => number): void {
    this.#cut.clear();
    const side = this.nodes.map(() => draw(2));
    const oneWay = draw(4) === 0;
    for (const [a, from] of this.nodes.entries()) {
      for (const [b, to] of this.nodes.entries()) {
        if (side[a] !== side[b] && !(oneWay && side[a] === 0)) this.#cut.add(`${from.id} ${to.id}`);
      }
    }
  }

  #crash(node: SimNode, draw: (limit: number) => number): void {
    if (node.raft === null) return;
    const at = draw(CRASH_POINTS.length + 1);
    node.crashAt = (CRASH_POINTS[at] ?? null) satisfies CrashPoint | null;
    if (node.crashAt === null) node.crash();
  }

  #restart(draw: (limit: number) => number): void {
    const down = this.nodes.filter(({ raft }) => raft === null);
    down[draw(Math.max(1, down.length))]?.start();
  }

  #member(leader: SimNode, node: SimNode, draw: (limit: number) => number): void {
    const ops: ConfChange['op'][] = ['add-learner', 'promote', 'promote', 'remove'];
    leader.raft?.proposeConf({ op: ops[draw(ops.length)]!, id: node.id });
  }
}

