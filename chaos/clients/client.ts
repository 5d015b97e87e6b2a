/** The driver's side of a client's process. */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../test/support/built.ts';
import { inside, type Node } from '../net/network.ts';
import type { News, Order, Story } from './protocol.ts';

export class ChaosClient {
  readonly name: string;
  readonly #child: ChildProcess;
  #acks = 0;
  #story: ((story: Story) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  /** @param node where it runs. */
  constructor(name: string, node: Node, kind: 'load' | 'watch') {
    this.name = name;
    const [file, ...args] = inside(node, [process.execPath, join(ROOT, 'scripts', 'run.mjs'), join(ROOT, 'chaos', 'clients', 'main.ts'), kind]);
    this.#child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], cwd: ROOT });
    this.#child.on('message', (news: News) => {
      if (news.kind === 'count') this.#acks = news.acks;
      else this.#story?.(news.story);
    });
    this.#child.on('error', (error) => this.#failed?.(error));
    this.#child.on('exit', () => this.#failed?.(new Error(`client ${name} ended by itself`)));
  }

  /** Commits that were acknowledged since the start, as far as it has told. */
  get acks(): number {
    return this.#acks;
  }

  start(order: Omit<Order & { kind: 'start' }, 'kind'>): void {
    this.#acks = 0;
    this.#tell({ kind: 'start', ...order });
  }

  stop(): Promise<Story> {
    return new Promise((resolve, reject) => {
      this.#story = resolve;
      this.#failed = reject;
      this.#tell({ kind: 'stop' });
    });
  }

  end(): void {
    this.#failed = undefined;
    if (this.#child.connected) this.#child.disconnect();
  }

  #tell(order: Order): void {
    if (!this.#child.connected) throw new Error(`client ${this.name} has ended`);
    this.#child.send(order);
  }
}
