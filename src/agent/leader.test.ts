import { expect, it } from 'vitest';
import { PgorbitError } from '../errors.ts';
import type { Leadership } from '../state/store.ts';
import { byLeader, type LeaderCalls } from './leader.ts';
import type { RpcClient } from './rpc/client.ts';

/** An agent that sees these leaderships, one a look; the last one stays. */
function agent(leaderships: Leadership[], call: (host: string) => Promise<unknown>): LeaderCalls {
  return {
    store: { leadership: () => (leaderships.length > 1 ? leaderships.shift()! : leaderships[0]!) },
    clientOf: (host) => ({ call: () => call(host) }) as unknown as RpcClient,
  };
}
const self: Leadership = { leader: 'h1', self: true, term: 1 };
const other: Leadership = { leader: 'h2', self: false, term: 1 };
const nobody: Leadership = { leader: null, self: false, term: 1 };
const asked = (caller: string) => ({ caller, signal: new AbortController().signal });
const cluster = { revision: 7, document: null };

it('answers itself while it leads, and asks the leader otherwise', async () => {
  const here = byLeader(agent([self], async () => 'never'), 'GET /v1/cluster', async () => cluster);
  expect(await here({}, asked('admin'))).toEqual(cluster);
  const there = byLeader(agent([other], async (host) => ({ ...cluster, revision: host === 'h2' ? 8 : 0 })), 'GET /v1/cluster', async () => cluster);
  expect(await there({}, asked('admin'))).toEqual({ ...cluster, revision: 8 });
});

it('waits out an election and a leader that has just gone', async () => {
  let calls = 0;
  const gone = async (): Promise<unknown> => {
    calls += 1;
    throw new PgorbitError('agent-unreachable', 'gone');
  };
  const handler = byLeader(agent([nobody, other, nobody, self], gone), 'GET /v1/cluster', async () => cluster);
  expect(await handler({}, asked('admin'))).toEqual(cluster);
  expect(calls).toBe(1);
});

it('does not pass on what another agent passed on, and lets other errors through', async () => {
  const handler = byLeader(agent([other], async () => cluster), 'GET /v1/cluster', async () => cluster);
  await expect(handler({}, asked('h3'))).rejects.toMatchObject({ code: 'agent-unreachable' });
  const refused = byLeader(agent([other], async () => {
    throw new PgorbitError('unsafe', 'no');
  }), 'GET /v1/cluster', async () => cluster);
  await expect(refused({}, asked('admin'))).rejects.toMatchObject({ code: 'unsafe' });
});
