/** Makes a site the primary one, and watches the two until it is. What was begun goes on without this command. */
import type { SiteStatus } from '../../site/status.ts';
import type { StatusDocument } from '../../agent/api.ts';
import { PgorbitError } from '../../errors.ts';
import { withCluster, type Cluster } from '../cluster.ts';
import type { Context } from '../context.ts';
import { waitFor } from '../wait.ts';

/** Checkpoint and stop of the old primaries, and the promotions. */
const SWITCHOVER_MS = 300_000;

export interface SwitchedOver {
  primary: string;
  epoch: number;
  status: StatusDocument;
}

/** @param to a cluster's name, or null: the one that is not the primary site. @throws `operation-failed` when it was taken back */
export function switchSites(context: Context, to: string | null): Promise<SwitchedOver> {
  return withCluster(context, async (cluster) => {
    const before = siteOf(await cluster.call('GET /v1/status', {}, { signal: context.signal }));
    const answer = await cluster.call('POST /v1/site/switchover', { to }, { signal: context.signal });
    context.background = 'The sites carry on with it: `pgorbit status` on either side shows how far they are.';
    context.progress.step(`make ${answer.to} the primary site`);
    const status = await waitFor(context, cluster, context.deadline(SWITCHOVER_MS), `for ${answer.to} to be the primary site`, (seen) => look(cluster, seen, answer.to, before));
    context.progress.done();
    const site = siteOf(status);
    return { primary: answer.to, epoch: site.epoch, status };
  });
}

export function siteOf(status: StatusDocument): SiteStatus {
  if (status.site !== undefined) return status.site;
  throw new PgorbitError('usage', `cluster ${status.cluster} is on its own: it has no other site`, { hint: '`standby_of` in the manifest of another cluster makes that one a site of this' });
}

/** The groups in which nobody accepts writes yet. */
export const withoutPrimary = ({ groups }: StatusDocument): StatusDocument['groups'] =>
  groups.filter((group) => group.primary === null || group.members.find((member) => member.name === group.primary)?.state !== 'running');

function look(cluster: Cluster, status: StatusDocument, to: string, before: SiteStatus): { done: StatusDocument } | { waiting: string[] } {
  const site = siteOf(status);
  const there = to === site.peer.cluster;
  if (there) {
    if (site.role === 'primary' && site.handOver === null && site.note !== null && site.note !== before.note) throw new PgorbitError('operation-failed', site.note, { hint: '`pgorbit status` and `pgorbit events`' });
    if (site.role === 'standby' && site.peer.role === 'primary' && site.peer.writable) return { done: status };
    return { waiting: [site.role === 'primary' ? `${cluster.name} writes everything out and stops` : `${to} has everything and takes over`] };
  }
  const groups = withoutPrimary(status);
  if (site.role === 'primary' && site.handOver === null && groups.length === 0) return { done: status };
  if (site.role === 'standby' && site.peer.role === 'primary' && before.peer.role === 'primary' && site.peer.epoch === before.peer.epoch && site.peer.answers && site.note?.startsWith('the hand-over was taken back')) throw new PgorbitError('operation-failed', site.note);
  return { waiting: [site.role === 'standby' ? `${site.peer.cluster} stops, and ${to} fetches what it lacks` : `${groups.map(({ name }) => name).join(', ')} gets a primary`] };
}
