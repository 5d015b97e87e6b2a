/** This site becomes the primary one because the other is lost. */
import type { StatusDocument } from '../../agent/api.ts';
import type { RecoveryPoint } from '../../group/member/recovery-point.ts';
import { withCluster } from '../cluster.ts';
import type { Context } from '../context.ts';
import { waitFor } from '../wait.ts';
import { siteOf, withoutPrimary } from './switchover.ts';

/** What was received is replayed first. */
const PROMOTE_MS = 300_000;
/** The agents ask the other site once more, and wait for what is being replayed. */
const CALL_MS = 60_000;

export interface PromotedSite {
  cluster: string;
  epoch: number;
  /** By group. */
  points: Record<string, RecoveryPoint>;
  status: StatusDocument;
}

/** @throws `unsafe` while the other site answers, and without `force` where it does not */
export function promoteSite(context: Context, force: boolean): Promise<PromotedSite> {
  return withCluster(context, async (cluster) => {
    const before = siteOf(await cluster.call('GET /v1/status', {}, { signal: context.signal }));
    const { epoch, points } = await cluster.call('POST /v1/site/promote', { force }, { signal: context.signal, timeoutMs: CALL_MS });
    context.background = 'This site goes on with it: `pgorbit status` shows how far it is.';
    if (before.role === 'standby') context.progress.warn(`see to it that nothing writes to ${before.peer.cluster} until it answers again: what it has and ${cluster.name} has not is taken back then`);
    context.progress.step(`make ${cluster.name} the primary site`);
    const status = await waitFor(context, cluster, context.deadline(PROMOTE_MS), `for ${cluster.name} to accept writes`, (seen) => {
      const waiting = withoutPrimary(seen);
      return waiting.length === 0 ? { done: seen } : { waiting: waiting.map((group) => `group ${group.name}: ${group.reason}`) };
    });
    context.progress.done();
    // Where the new timeline begins is what was there when the promotion was done, to the byte.
    for (const { name, timeline } of siteOf(status).groups) {
      const point = points[name];
      if (point !== undefined && timeline !== null) points[name] = { ...point, lsn: timeline.begin };
    }
    return { cluster: cluster.name, epoch, points, status };
  });
}
