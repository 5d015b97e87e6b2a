/** Finding the deciding agent: calls that only it can answer go to it, wherever they came in, and wait out an election. */
import type { CallName, Calls } from './api.ts';
import { ADMIN, isSite } from './identity/ca.ts';
import type { RpcClient } from './rpc/client.ts';
import { GUEST, type CallContext } from './rpc/server.ts';
import { PgorbitError } from '../errors.ts';
import { sleep } from '../lifecycle.ts';
import type { StateStore } from '../state/store.ts';

/** Longer than two elections in a row. */
const PATIENCE_MS = 8_000;
const POLL_MS = 50;

export interface LeaderCalls {
  store: Pick<StateStore, 'leadership'>;
  clientOf: (host: string) => RpcClient;
}

export type Handler<K extends CallName> = (request: Calls[K]['request'], context: CallContext) => Promise<Calls[K]['answer']>;

/** The call answered here while this agent leads, and by the leader otherwise. */
export function byLeader<K extends CallName>(agent: LeaderCalls, name: K, handler: Handler<K>, timeoutMs = 10_000): Handler<K> {
  return async (request, context) => {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const { self, leader } = agent.store.leadership();
      if (self) return handler(request, context);
      const passedOn = context.caller !== ADMIN && context.caller !== GUEST && !isSite(context.caller);
      if (leader !== null && !passedOn) {
        try {
          return await agent.clientOf(leader).call(name, request, { timeoutMs, signal: context.signal });
        } catch (error) {
          // The leader has just gone, or no longer leads: there will be another.
          if (!(error instanceof PgorbitError) || error.code !== 'agent-unreachable') throw error;
        }
      }
      if (passedOn || performance.now() > deadline || context.signal.aborted) throw leaderless();
      await sleep(POLL_MS, context.signal);
    }
  };
}

/** What an agent says that answers and knows of no leader. */
export const NO_LEADER = 'no agent leads at the moment: a majority of them must run and reach each other';

export function leaderless(): PgorbitError {
  return new PgorbitError('agent-unreachable', NO_LEADER, {
    hint: '`pgorbit up` starts the agents of this machine; `pgorbit status` shows which are there',
  });
}
