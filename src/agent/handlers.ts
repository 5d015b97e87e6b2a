/**
 * What this agent answers. Calls that only the deciding agent can answer are passed on to it, whoever was asked. Every
 * caller holds a certificate of this cluster: the administrator's, or another agent's that passes a call on.
 */
import { join } from 'node:path';
import type { Calls, ClusterDocument } from './api.ts';
import type { Agent } from './agent.ts';
import { enrolmentHandlers } from './enrolment-handlers.ts';
import { currentStatus } from './current-status.ts';
import { byLeader } from './leader.ts';
import { findPort } from './ports.ts';
import { reclaimWal } from './reclaim.ts';
import { siteHandlers } from './site/handlers.ts';
import type { Handlers } from './rpc/server.ts';
import { PgorbitError } from '../errors.ts';
import { memberDir } from '../home.ts';
import { readLog } from '../observe/tail.ts';
import { SECRETS_KEY, SITE_KEY, SPEC_KEY } from '../state/store.ts';
import { version } from '../version.ts';

export function handlersOf(agent: Agent): Handlers {
  return { ...ownHandlers(agent), ...deciderHandlers(agent), ...enrolmentHandlers(agent), ...siteHandlers(agent) };
}

/** Answered by whichever agent is asked. */
function ownHandlers(agent: Agent): Handlers {
  return {
    'GET /v1/ping': async () => ({ cluster: agent.config.cluster, clusterId: agent.config.clusterId, host: agent.config.host, pid: process.pid, version: version() }),
    'GET /v1/events': async ({ after, waitMs }, { signal }) => {
      const events = await agent.events.wait(Number(after), Number(waitMs), signal);
      return { events, sequence: events.at(-1)?.sequence ?? Math.max(Number(after), agent.events.sequence) };
    },
    'POST /v1/port': async (wish) => ({ port: await findPort(wish) }),
    'GET /v1/logs': async ({ group, member, offset, lines }) => {
      const record = agent.view.groups.get(group)?.record.members[member];
      if (record === undefined) throw new PgorbitError('no-such-member', `group ${group} has no member ${member}`);
      if (record.host !== agent.config.host) return agent.clientOf(record.host).call('GET /v1/logs', { group, member, offset, lines });
      const file = join(memberDir(agent.home, agent.config.cluster, agent.config.host, group, member), 'log', 'postgresql.log');
      return readLog(file, Number(offset), Number(lines));
    },
    'GET /v1/here': async () => ({ document: agent.view.cluster?.document ?? null, parted: agent.members.parted() }),
    'POST /v1/part': async ({ group, member, owner }) => agent.members.part(group, member, owner),
    'POST /v1/drill': async ({ group, member, checks, database }, { signal }) => agent.members.drill(group, member, checks, database, signal),
    'POST /v1/shutdown': async ({ stopMembers, leave }) => {
      agent.shutDown({ stopMembers, leave: leave === true });
      return {};
    },
  };
}

/** Answered by the agent that leads, which alone decides. */
function deciderHandlers(agent: Agent): Handlers {
  return {
    'GET /v1/status': byLeader(agent, 'GET /v1/status', async () => currentStatus(agent)),
    'GET /v1/cluster': byLeader(agent, 'GET /v1/cluster', async () => {
      const { cluster } = agent.view;
      return { revision: cluster?.revision ?? 0, document: cluster?.document ?? null };
    }),
    'GET /v1/secrets': byLeader(agent, 'GET /v1/secrets', async () => ({ secrets: agent.view.secrets })),
    'POST /v1/apply': byLeader(agent, 'POST /v1/apply', (request) => apply(agent, request)),
    'POST /v1/operate': byLeader(agent, 'POST /v1/operate', async (request) => ({ id: await agent.decider.operate(request) })),
    'POST /v1/volume/usage': byLeader(agent, 'POST /v1/volume/usage', ({ volume }) => agent.volumes.measure(volume), 600_000),
    'POST /v1/volume/reclaim': byLeader(agent, 'POST /v1/volume/reclaim', ({ volume }, context) =>
      reclaimWal(volume, { view: agent.view, volumes: agent.volumes, seen: (group) => agent.decider.seen(group), now: agent.now, rate: null }, context.signal), 600_000),
  };
}

async function apply(agent: Agent, request: Calls['POST /v1/apply']['request']): Promise<{ revision: number }> {
  const { view, store, config } = agent;
  if (request.document.id !== config.clusterId) {
    throw new PgorbitError('other-cluster', `this is cluster ${config.cluster} with the id ${config.clusterId}; the manifest was made for ${request.document.id}`);
  }
  refuseLostPrimary(agent, request.document);
  if (request.secrets !== undefined && view.secrets === null) {
    const written = await store.compareAndSet(SECRETS_KEY, 0, request.secrets);
    // Another `up` was quicker: its secrets are the cluster's.
    if (!written.ok && written.current === null) throw new PgorbitError('state-conflict', 'the secrets could not be written');
  }
  if (request.authority !== undefined) await agent.enrolment.keepAuthority(request.authority);
  // Before the manifest: a group of a standby site is never made, it is copied.
  if (request.site !== undefined && view.site === null && view.cluster === null) await store.compareAndSet(SITE_KEY, 0, request.site);
  const result = await store.compareAndSet(SPEC_KEY, request.revision, request.document);
  if (!result.ok) {
    throw new PgorbitError('state-conflict', 'the manifest was changed by someone else at the same time', { hint: 'look at the difference (`pgorbit up --dry-run`) and try again' });
  }
  agent.decider.soon();
  return { revision: result.revision };
}

function refuseLostPrimary(agent: Agent, document: ClusterDocument): void {
  for (const { record } of agent.view.groups.values()) {
    const members = document.spec.groups[record.group]?.members;
    const holder = record.primary ?? record.promotion?.candidate;
    if (holder !== null && holder !== undefined && members?.[holder] === undefined) {
      throw new PgorbitError('remove-primary', `${holder} is the primary of group ${record.group}: it can't be removed`, { hint: 'pgorbit switchover, then remove it' });
    }
  }
}
