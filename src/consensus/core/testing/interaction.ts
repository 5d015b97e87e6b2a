/**
 * Runs a golden script: each block is a line of command, `----`, and what it printed. The commands are in COMMANDS
 * below, a comment a row. Elections time out after 10 + 3 * (the node's number from 0) ticks, heartbeats go every 3.
 */
import { copyOf, SimNode } from './node.ts';
import type { ConfChange, Entry, Message, Ready } from '../types.ts';

export interface Block {
  /** Comments before the command, kept as they are. */
  preamble: string;
  command: string;
  output: string;
}

export function parseScript(text: string): Block[] {
  const blocks: Block[] = [];
  let preamble = '';
  let command: string | null = null;
  let output: string[] | null = null;
  const end = (): void => {
    if (command !== null) {
      blocks.push({ preamble, command, output: (output ?? []).join('\n') });
      preamble = '';
    }
    command = output = null;
  };
  for (const line of text.split('\n')) {
    if (output !== null && line !== '') output.push(line);
    else if (line === '') end();
    else if (line === '----') output = [];
    else if (line.startsWith('#')) preamble += `${line}\n`;
    else if (command === null) command = line;
    else {
      end();
      command = line;
    }
  }
  end();
  return blocks;
}

export const formatScript = (blocks: Block[]): string =>
  blocks.map(({ preamble, command, output }) => `${preamble}${command}\n----\n${output}${output === '' ? '' : '\n'}`).join('\n');

const entryText = (entry: Entry): string =>
  `${entry.index}/${entry.term}${entry.kind === 'empty' ? '' : entry.kind === 'data' ? `:${entry.data}` : `:${confText(entry.data)}`}`;

const confText = (data: string): string => {
  const { op, id } = JSON.parse(data) as ConfChange;
  return `${op}(${id})`;
};

function messageText(message: Message): string {
  const { from, to, term, type, ...rest } = message;
  const fields = Object.entries(rest).map(([key, value]) => {
    if (key === 'entries') return `entries=[${(value as Entry[]).map(entryText).join(' ')}]`;
    if (message.type === 'snapshot' && key === 'snapshot') {
      const { index, term: at, conf } = message.snapshot;
      return `snapshot=${index}/${at} voters=${conf.voters.join(',')} learners=${conf.learners.join(',')}`;
    }
    return `${key}=${String(value)}`;
  });
  return `${from} -> ${to} ${type} term=${term}${fields.length > 0 ? ` ${fields.join(' ')}` : ''}`;
}

export class Interaction {
  readonly #nodes = new Map<string, SimNode>();
  readonly #queue: Message[] = [];
  readonly #cut = new Set<string>();
  #lines: string[] = [];

  /** Carries out one command and returns what it printed. */
  run(line: string): string {
    const quiet = line.startsWith('quiet ');
    const [name, ...args] = (quiet ? line.slice(6) : line).split(/\s+/);
    const command = COMMANDS[name!];
    if (command === undefined) throw new Error(`no command ${name}`);
    this.#lines = [];
    command(this, args);
    return quiet ? '' : this.#lines.join('\n') || 'ok';
  }

  print(line: string): void {
    this.#lines.push(line);
  }

  node(id: string): SimNode {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  ids(): string[] {
    return [...this.#nodes.keys()];
  }

  create(ids: string[], voters: string[] | null, learners: string[]): void {
    for (const id of ids) {
      const order = this.#nodes.size;
      this.#nodes.set(id, new SimNode({
        id, electionTicks: 10, heartbeatTicks: 3, maxBatch: 64, maxInflight: 2, random: (limit) => (order * 3) % limit,
      }, voters === null ? null : { voters: [...voters].sort(), learners: [...learners].sort() }));
    }
  }

  wipe(id: string): void {
    this.#nodes.set(id, new SimNode(this.node(id).options, null));
  }

  cut(from: string, to: string): void {
    this.#cut.add(`${from} ${to}`);
  }

  heal(): void {
    this.#cut.clear();
  }

  drop(from: string, to: string): void {
    for (let at = this.#queue.length - 1; at >= 0; at -= 1) {
      const message = this.#queue[at]!;
      if (message.from !== from || message.to !== to) continue;
      this.print(`dropped ${messageText(message)}`);
      this.#queue.splice(at, 1);
    }
  }

  /** Delivers what is under way from `from` to `to`, and nothing that follows from it. */
  deliver(from: string, to: string): void {
    const due = this.#queue.filter((message) => message.from === from && message.to === to);
    for (const message of due) {
      this.#queue.splice(this.#queue.indexOf(message), 1);
      this.#deliver(message);
    }
  }

  /** Readies and deliveries until nothing is left to do. */
  stabilize(): void {
    for (;;) {
      const worked = this.ids().map((id) => this.process(id)).some(Boolean);
      const message = this.#queue.shift();
      if (message !== undefined) this.#deliver(message);
      else if (!worked) return;
    }
  }

  process(id: string): boolean {
    const node = this.node(id);
    const before = node.raft?.status();
    const ready = node.raft?.ready();
    if (ready === null || ready === undefined || before === undefined) return false;
    this.#printReady(id, before.role, ready);
    node.persist(ready);
    for (const message of ready.messages) this.#queue.push(copyOf(message));
    node.apply(ready);
    node.raft!.advance();
    const { conf } = node.raft!.status();
    if (conf !== before.conf) this.print(`${id} members voters=${conf.voters.join(',')} learners=${conf.learners.join(',')}`);
    return true;
  }

  #printReady(id: string, role: string, ready: Ready): void {
    const { hardState: hard } = ready;
    if (hard !== null) {
      const lazily = ready.mustSync ? '' : ' (lazily)';
      this.print(`${id} ${role} saves term=${hard.term} vote=${hard.vote ?? '-'} commit=${hard.commit}${lazily}`);
    }
    if (ready.snapshot !== null) this.print(`${id} restores snapshot ${ready.snapshot.index}/${ready.snapshot.term}`);
    if (ready.entries.length > 0) this.print(`${id} appends ${ready.entries.map(entryText).join(' ')}`);
    if (ready.committed.length > 0) this.print(`${id} applies ${ready.committed.map(entryText).join(' ')}`);
    for (const read of ready.readStates) this.print(`${id} may answer ${read.context} at ${read.index}`);
  }

  #deliver(message: Message): void {
    const node = this.#nodes.get(message.to);
    const lost = node === undefined || node.raft === null || this.#cut.has(`${message.from} ${message.to}`);
    this.print(`${lost ? 'lost ' : ''}${messageText(message)}`);
    if (!lost) node.raft!.step(message);
  }
}

type Command = (run: Interaction, args: string[]) => void;

const COMMANDS: Record<string, Command> = {
  /** voters a b c: nodes that begin as one group. */
  voters: (run, ids) => run.create(ids, ids, []),
  /** blank d: a node that knows of nobody. */
  blank: (run, ids) => run.create(ids, null, []),
  campaign: (run, [id]) => run.node(id!).raft!.campaign(),
  /** tick a 5 */
  tick: (run, [id, count]) => {
    for (let at = 0; at < Number(count ?? 1); at += 1) run.node(id!).raft!.tick();
  },
  /** rounds 5 a b: as many rounds of one tick each (of all, without names) and everything that follows. */
  rounds: (run, [count, ...ids]) => {
    for (let at = 0; at < Number(count); at += 1) {
      for (const id of ids.length > 0 ? ids : run.ids()) run.node(id).raft?.tick();
      run.stabilize();
    }
  },
  /** propose a data */
  propose: (run, [id, data]) => run.print(JSON.stringify(run.node(id!).raft!.propose(data!))),
  /** conf a promote d */
  conf: (run, [id, op, target]) =>
    run.print(JSON.stringify(run.node(id!).raft!.proposeConf({ op: op as ConfChange['op'], id: target! }))),
  /** transfer a b */
  transfer: (run, [id, to]) => run.print(String(run.node(id!).raft!.transferLeader(to!))),
  /** read a context */
  read: (run, [id, context]) => run.print(String(run.node(id!).raft!.readIndex(context!))),
  /** compact a 0 */
  compact: (run, [id, keep]) => run.node(id!).compact(Number(keep)),
  /** process a: one Ready, its messages queued. */
  process: (run, [id]) => {
    if (!run.process(id!)) run.print('nothing to do');
  },
  stabilize: (run) => run.stabilize(),
  /** cut a b: nothing passes from a to b. */
  cut: (run, [from, to]) => run.cut(from!, to!),
  /** isolate a: nothing passes to or from it. */
  isolate: (run, [id]) => {
    for (const other of run.ids()) {
      run.cut(id!, other);
      run.cut(other, id!);
    }
  },
  heal: (run) => run.heal(),
  /** drop a b: what is under way from a to b is lost. */
  drop: (run, [from, to]) => run.drop(from!, to!),
  /** deliver a b: what is under way from a to b arrives. */
  deliver: (run, [from, to]) => run.deliver(from!, to!),
  /** wipe a: its disk is gone, and it starts again. */
  wipe: (run, [id]) => run.wipe(id!),
  crash: (run, [id]) => run.node(id!).crash(),
  restart: (run, [id]) => run.node(id!).start(),
  status: (run, ids) => {
    for (const id of ids.length > 0 ? ids : run.ids()) {
      const status = run.node(id).raft?.status();
      if (status === undefined) run.print(`${id} down`);
      else {
        const { role, term, leader, committed, applied, lastIndex, leaseStart, ticks } = status;
        const lease = leaseStart === null ? 'none' : `from tick ${leaseStart} of ${ticks}`;
        run.print(`${id} ${role} term=${term} leader=${leader ?? '-'} committed=${committed} applied=${applied} last=${lastIndex}`
          + (role === 'leader' ? ` lease=${lease}` : ''));
        for (const { id: peer, match, next, state } of status.progress) run.print(`  ${peer} ${state} match=${match} next=${next}`);
      }
    }
  },
  /** log a: what is on its disk. */
  log: (run, [id]) => {
    const { disk } = run.node(id!);
    run.print(`snapshot ${disk.snapshot.index}/${disk.snapshot.term}; ${disk.entries.map(entryText).join(' ')}`);
  },
};
