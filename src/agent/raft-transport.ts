/**
 * Consensus messages over the agents' RPC: one request a peer at a time, with all that has gathered for it; the answer
 * brings back what the peer has ready, so that a heartbeat and its response cost one request. Messages may be lost.
 */
import type { RpcClient } from './rpc/client.ts';
import type { RaftTransport } from '../consensus/transport.ts';
import { Lifecycle } from '../lifecycle.ts';

/** A peer that does not answer for this long has lost what was sent to it. */
const TIMEOUT_MS = 1_500;
/** More than this for a peer that does not answer is pointless: Raft sends it anew. */
const QUEUED_AT_MOST = 256;

export class RpcRaftTransport implements RaftTransport {
  readonly #clientOf: (host: string) => Pick<RpcClient, 'call'> | null;
  readonly #queues = new Map<string, object[]>();
  readonly #sending = new Set<string>();
  readonly #answering = new Set<string>();
  readonly #life: Lifecycle;
  #handler: (from: string, message: unknown) => void = () => undefined;

  /** @param clientOf gives the client of a host, or null for a host that is not known (yet). */
  constructor(clientOf: (host: string) => Pick<RpcClient, 'call'> | null, onError: (error: unknown, what: string) => void) {
    this.#clientOf = clientOf;
    this.#life = new Lifecycle(onError);
  }

  onMessage(handler: (from: string, message: unknown) => void): void {
    this.#handler = handler;
  }

  send(to: string, message: object): void {
    const queue = this.#queues.get(to) ?? [];
    queue.push(message);
    if (queue.length > QUEUED_AT_MOST) queue.shift();
    this.#queues.set(to, queue);
    // What is for a peer whose request is being answered goes into the answer.
    if (this.#sending.has(to) || this.#answering.has(to)) return;
    this.#sending.add(to);
    this.#life.run(`sending to ${to}`, (signal) => this.#pump(to, signal).finally(() => this.#sending.delete(to)));
  }

  /** Takes what an agent sent. @returns what has come up for it meanwhile. */
  async receive(from: string, messages: unknown[]): Promise<object[]> {
    this.#answering.add(from);
    for (const message of messages) this.#handler(from, message);
    // Responses that need no disk are there after one turn of the event loop; the others are sent by themselves.
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    this.#answering.delete(from);
    return this.#take(from);
  }

  async stop(): Promise<void> {
    await this.#life.stop();
  }

  #take(to: string): object[] {
    const queue = this.#queues.get(to) ?? [];
    this.#queues.delete(to);
    return queue;
  }

  async #pump(to: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const messages = this.#take(to);
      const client = this.#clientOf(to);
      if (messages.length === 0 || client === null) return;
      try {
        const answer = await client.call('POST /v1/raft', { messages }, { timeoutMs: TIMEOUT_MS, signal });
        for (const message of answer.messages) this.#handler(to, message);
      } catch {
        // Lost, as messages may be: Raft notices by itself, and who is unreachable is told by the reports.
        this.#queues.delete(to);
        return;
      }
    }
  }
}
