/** The deciding agent's store, for the other agents: handlers of the calls that RemoteStore makes. */
import type { Handlers } from '../agent/rpc/server.ts';
import type { SingleStore } from './single.ts';

/** The longest that a watch is held open; the client asks again. */
const LONGEST_WAIT_MS = 60_000;

export type StateHandlers = Required<
  Pick<Handlers, 'POST /v1/state/read' | 'POST /v1/state/list' | 'POST /v1/state/cas' | 'POST /v1/state/watch' | 'GET /v1/leadership'>
>;

export function stateHandlers(store: SingleStore): StateHandlers {
  return {
    'POST /v1/state/read': async ({ key }) => ({ document: await store.read(key) }),
    'POST /v1/state/list': async ({ prefix }) => ({ documents: await store.list(prefix) }),
    'POST /v1/state/cas': ({ key, revision, value }) => store.compareAndSet(key, revision, value),
    'POST /v1/state/watch': ({ prefix, revision, waitMs }, { signal }) =>
      store.changesSince(prefix, revision, Math.min(waitMs, LONGEST_WAIT_MS), signal),
    'GET /v1/leadership': async () => store.leadership(),
  };
}
