/** What `pgorbit status` shows, as the leading agent has it at the moment. */
import type { StatusDocument } from './api.ts';
import type { Agent } from './agent.ts';
import { statusOf } from './status.ts';
import { siteStatus } from '../site/status.ts';

export async function currentStatus(agent: Agent): Promise<StatusDocument> {
  const { view, decider, volumes, config, keeper } = agent;
  const measured = await volumes.glance();
  const records = new Map([...view.groups].map(([name, { record }]) => [name, record]));
  const site = keeper.site;
  return statusOf({
    cluster: config.cluster,
    document: view.cluster?.document ?? null,
    records,
    site: site === null ? null : siteStatus({ site, heard: keeper.heard, records, seen: (group) => decider.seen(group), now: agent.now() }),
    seen: (group) => decider.seen(group),
    archive: (group) => decider.archive(group),
    agents: agent.agents(),
    heard: decider.agents,
    leader: { host: config.host, pid: process.pid },
    voters: agent.store.members().voters,
    settled: (group) => decider.settled(group),
    volumes: measured,
    engine: agent.members.engine === null ? null : `PostgreSQL ${agent.members.engine.version} (${agent.members.engine.source})`,
    now: agent.now(),
  });
}
