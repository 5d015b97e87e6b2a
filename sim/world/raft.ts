/**
 * The agents' consensus, as far as the groups can feel it: terms, votes that are durable, a leader whose lease ends before
 * another can be elected, writes that commit with a majority and may have an unknown end, followers that learn late.
 * The log is one register: every entry carries the whole state, so that the newest one replaces all before it.
 * src/consensus/core is the real thing and has its own tests; this keeps its promises, at a fraction of the events.
 */
import { SimBell, type SimProcess, waitFor, type Work } from '../kernel/process.ts';
import type { Documents } from './store.ts';
import type { World } from './world.ts';

const HEARTBEAT_MS = 200;
const ELECTION_MS = 1_000;
/** Two ticks less than an election: see src/consensus/README.md, "The lease". */
const LEASE_MS = 800;
/** A write that no majority has carried out within this time has an unknown end. */
const WRITE_MS = 2_000;

interface Position {
  term: number;
  index: number;
}

interface Entry extends Position {
  documents: Documents;
}

/** What an agent's raft folder holds; survives everything. */
export interface RaftDisk {
  term: number;
  vote: string | null;
  last: Entry;
  /** Known to be committed; and what a loss of power leaves of that knowledge, which may be older. */
  committed: Documents;
  committedDurably: Documents;
}

type Message =
  | { type: 'ask'; from: string; term: number; pre: boolean; last: Position }
  | { type: 'vote'; from: string; term: number; pre: boolean }
  | { type: 'append'; from: string; term: number; at: number; entry: Entry; committed: Documents; leads: boolean }
  | { type: 'held'; from: string; term: number; at: number; index: number };

const atLeast = (a: Position, b: Position): boolean => a.term > b.term || (a.term === b.term && a.index >= b.index);

export class RaftNode {
  readonly #world: World;
  readonly #host: string;
  readonly #process: SimProcess;
  readonly #disk: RaftDisk;
  readonly #learn: (documents: Documents) => void;
  role: 'follower' | 'leader' = 'follower';
  /** Whom it last heard as the leader. */
  leader: string | null = null;
  committed: Documents;
  /** It has heard the newest state since it began: what the real one learns by a read of its own. */
  current = false;
  readonly #startedAt: number;
  #heardAt: number;
  #patience = 0;
  #votes = new Set<string>();
  #asking: { term: number; pre: boolean } | null = null;
  /** As a leader: what each host last acknowledged, and when that was asked. */
  #held = new Map<string, { index: number; at: number }>();
  /** As a leader of several: when a majority with itself was last asked that has acknowledged it since. */
  #majorityAt = -Infinity;
  #pending: Entry[] = [];
  #committedIndex = 0;
  /** When it began to lead, ms; null while it does not, or has not committed an entry of its own term yet. */
  #leadsSince: number | null = null;
  readonly #progress = new SimBell();

  constructor(world: World, host: string, process: SimProcess, disk: RaftDisk, learn: (documents: Documents) => void) {
    this.#world = world;
    this.#host = host;
    this.#process = process;
    this.#disk = disk;
    this.#learn = learn;
    this.committed = disk.committed;
    // After a restart, too, it votes for nobody for a while: it may have promised just before.
    this.#heardAt = world.clock.now;
    this.#startedAt = world.clock.now;
  }

  start(): void {
    this.#patience = this.#draw();
    this.#process.after(this.#world.voters.length === 1 ? 5 : this.#world.random.int(10, 250), () => this.#tick());
  }

  get isVoter(): boolean {
    return this.#world.voters.includes(this.#host);
  }

  get term(): number {
    return this.#disk.term;
  }

  /** True in at most one agent, by the clock, at the moment in which it is asked. */
  self(): boolean {
    return this.#leadsSince !== null && this.#world.clock.now < this.#leaseEnd();
  }

  /** ms since it leads; 0 while it does not. */
  ledFor(): number {
    return this.#leadsSince === null ? 0 : this.#world.clock.now - this.#leadsSince;
  }

  /**
   * Makes `change` of the newest state a write of its own. @returns true when committed; false when refused, or when
   * nobody knows what became of it.
   */
  *write(change: (documents: Documents) => Documents | null): Work<boolean> {
    if (!this.self()) return false;
    const next = change(this.#disk.last.documents);
    if (next === null) return false;
    const { term } = this.#disk;
    const { index } = this.#append(next);
    const end = this.#world.clock.now + WRITE_MS;
    while (this.role === 'leader' && this.#disk.term === term && this.#committedIndex < index) {
      const left = end - this.#world.clock.now;
      if (left <= 0) return false;
      yield* waitFor(this.#progress, left);
    }
    return this.#disk.term === term && this.#committedIndex >= index;
  }

  // ------------------------------------------------------------------ time

  #draw(): number {
    return this.#world.voters.length === 1 ? 0 : this.#world.random.int(ELECTION_MS, 2 * ELECTION_MS);
  }

  #tick(): void {
    const { now } = this.#world.clock;
    if (this.role === 'leader') {
      if (now >= this.#leaseEnd() + ELECTION_MS - LEASE_MS) this.#follow(null);
      else this.#spread();
    } else if (this.isVoter && now - this.#heardAt >= this.#patience) this.#campaign(true);
    this.#process.after(this.role === 'leader' ? HEARTBEAT_MS : this.#world.random.int(150, 300), () => this.#tick());
  }

  #leaseEnd(): number {
    if (this.role !== 'leader') return -Infinity;
    return this.#world.voters.length === 1 ? Infinity : this.#majorityAt + LEASE_MS;
  }

  // ------------------------------------------------------------------ elections

  #campaign(pre: boolean): void {
    const disk = this.#disk;
    this.leader = null;
    this.#patience = this.#draw();
    this.#heardAt = pre ? this.#world.clock.now - ELECTION_MS : this.#heardAt;
    if (!pre) {
      disk.term += 1;
      disk.vote = this.#host;
    }
    this.#asking = { term: pre ? disk.term + 1 : disk.term, pre };
    this.#votes = new Set([this.#host]);
    if (this.#counted()) return;
    for (const host of this.#world.voters) this.#send(host, { type: 'ask', from: this.#host, ...this.#asking, last: disk.last });
  }

  #counted(): boolean {
    if (this.#asking === null || this.#votes.size * 2 <= this.#world.voters.length) return false;
    const { pre } = this.#asking;
    this.#asking = null;
    if (pre) this.#campaign(false);
    else this.#lead();
    return true;
  }

  #lead(): void {
    const disk = this.#disk;
    this.role = 'leader';
    this.leader = this.#host;
    this.#held.clear();
    this.#majorityAt = -Infinity;
    this.#pending = [];
    this.#world.trace(() => `${this.#host} leads the agents in term ${disk.term}`);
    this.#append(disk.last.documents);
  }

  #follow(leader: string | null): void {
    if (this.role === 'leader') this.#world.trace(() => `${this.#host} no longer leads the agents`);
    this.role = 'follower';
    this.leader = leader;
    this.#leadsSince = null;
    this.#asking = null;
    this.#progress.ring();
  }

  // ------------------------------------------------------------------ messages

  #send(to: string, message: Message): void {
    if (to === this.#host) return;
    const world = this.#world;
    world.network.datagram(this.#host, to, () => {
      const agent = world.agents.get(to);
      agent?.process.deliver(() => agent.raft.take(message));
    });
  }

  take(message: Message): void {
    const disk = this.#disk;
    if (message.type === 'ask') {
      this.#onAsk(message);
      return;
    }
    if (message.type === 'vote') {
      if (this.#asking === null || this.#asking.pre !== message.pre || this.#asking.term !== message.term) return;
      this.#votes.add(message.from);
      this.#counted();
      return;
    }
    if (message.type === 'append') {
      if (message.term < disk.term) {
        this.#send(message.from, { type: 'held', from: this.#host, term: disk.term, at: 0, index: 0 });
        return;
      }
      this.#onAppend(message);
      return;
    }
    if (message.term > disk.term) {
      disk.term = message.term;
      disk.vote = null;
      this.#follow(null);
    } else if (this.role === 'leader' && message.term === disk.term) this.#onHeld(message);
  }

  #onAsk(message: Extract<Message, { type: 'ask' }>): void {
    const disk = this.#disk;
    const promised = this.role === 'leader' || this.#world.clock.now - this.#heardAt < ELECTION_MS;
    if (promised || message.term < disk.term || !atLeast(message.last, disk.last)) return;
    if (message.pre) {
      if (message.term <= disk.term) return;
    } else {
      if (message.term === disk.term && disk.vote !== null && disk.vote !== message.from) return;
      disk.term = message.term;
      disk.vote = message.from;
      this.#asking = null;
      this.#patience = this.#draw();
      this.#heardAt = this.#world.clock.now - ELECTION_MS;
    }
    this.#send(message.from, { type: 'vote', from: this.#host, term: message.term, pre: message.pre });
  }

  #onAppend(message: Extract<Message, { type: 'append' }>): void {
    const disk = this.#disk;
    if (message.term > disk.term) {
      disk.term = message.term;
      disk.vote = null;
    }
    if (this.role === 'leader' || this.leader !== message.from) this.#follow(message.from);
    this.#heardAt = this.#world.clock.now;
    if (atLeast(message.entry, disk.last)) disk.last = message.entry;
    this.#commit(message.committed);
    if (message.leads && message.at >= this.#startedAt) this.current = true;
    this.#send(message.from, { type: 'held', from: this.#host, term: disk.term, at: message.at, index: disk.last.index });
  }

  // ------------------------------------------------------------------ the leader's log

  #append(documents: Documents): Entry {
    const disk = this.#disk;
    disk.last = { term: disk.term, index: disk.last.index + 1, documents };
    this.#pending.push(disk.last);
    this.#advance();
    this.#spread();
    return disk.last;
  }

  #spread(): void {
    const world = this.#world;
    const message: Message = { type: 'append', from: this.#host, term: this.#disk.term, at: world.clock.now, entry: this.#disk.last, committed: this.committed, leads: this.self() };
    for (const host of world.hosts) this.#send(host, message);
  }

  #onHeld({ from, index, at }: Extract<Message, { type: 'held' }>): void {
    const before = this.#held.get(from);
    this.#held.set(from, { index: Math.max(index, before?.index ?? 0), at: Math.max(at, before?.at ?? 0) });
    const { voters } = this.#world;
    if (!voters.includes(from)) return;
    const asked = voters.filter((host) => host !== this.#host).map((host) => this.#held.get(host)?.at ?? -Infinity).sort((a, b) => b - a);
    this.#majorityAt = asked[Math.floor(voters.length / 2) - 1] ?? -Infinity;
    this.#advance();
  }

  /** Commits what a majority holds. */
  #advance(): void {
    if (this.#pending.length === 0) return;
    const { voters, clock } = this.#world;
    const held = voters.map((host) => (host === this.#host ? this.#disk.last.index : (this.#held.get(host)?.index ?? 0))).sort((a, b) => b - a);
    const index = held[Math.floor(voters.length / 2)]!;
    let spread = false;
    while (this.#pending.length > 0 && this.#pending[0]!.index <= index) {
      const entry = this.#pending.shift()!;
      this.#committedIndex = entry.index;
      this.#world.store.commit(entry.documents);
      this.#leadsSince ??= clock.now;
      this.#commit(entry.documents);
      this.current = true;
      spread = true;
    }
    if (!spread) return;
    this.#spread();
    this.#progress.ring();
  }

  #commit(documents: Documents): void {
    if (documents.revision <= this.committed.revision) return;
    this.committed = documents;
    this.#disk.committed = documents;
    if (this.#world.random.chance(0.4)) this.#disk.committedDurably = documents;
    this.#learn(documents);
  }
}
