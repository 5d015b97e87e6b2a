/** The line to the other site: whichever of its agents answers will do. */
import type { CallName, Calls } from '../api.ts';
import { RpcClient, type CallOptions } from '../rpc/client.ts';
import { PgorbitError } from '../../errors.ts';
import type { PeerSite } from '../../site/document.ts';

/** For one agent, until its whole answer is there. ms */
const CALL_MS = 2_000;

export class PeerLine {
  #clients: RpcClient[] = [];
  #for = '';

  /**
   * Asks one agent after the other, first the one that answered last. Kept connections serve until the agents, or what is
   * shown to them, change. @throws PgorbitError what the last one said: `agent-unreachable` or `timed-out` where none answers
   */
  async call<K extends CallName>(peer: PeerSite, name: K, request: Calls[K]['request'], options: CallOptions = {}): Promise<Calls[K]['answer']> {
    this.#connect(peer);
    let last: unknown = new PgorbitError('agent-unreachable', `no agent of ${peer.cluster} is known`);
    for (const client of this.#clients) {
      try {
        const answer = await client.call(name, request, { timeoutMs: CALL_MS, ...options });
        this.#clients = [client, ...this.#clients.filter((other) => other !== client)];
        return answer;
      } catch (error) {
        if (!isSilence(error) || options.signal?.aborted) throw error;
        last = error;
      }
    }
    throw last;
  }

  close(): void {
    for (const client of this.#clients) client.close();
    this.#clients = [];
    this.#for = '';
  }

  #connect({ agents, ca, cert, key }: PeerSite): void {
    const wanted = JSON.stringify([agents, ca, cert]);
    if (wanted === this.#for) return;
    this.close();
    this.#for = wanted;
    this.#clients = agents.map((agent) => new RpcClient(agent, { ca, cert, key }));
  }
}

/** Nobody answered; anything else is an answer. */
export const isSilence = (error: unknown): boolean => error instanceof PgorbitError && (error.code === 'agent-unreachable' || error.code === 'timed-out');
