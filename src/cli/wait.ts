/** Waiting for the cluster while its events go by as progress lines. */
import type { OperationResult } from '../group/model.ts';
import type { StatusDocument } from '../agent/api.ts';
import { PgorbitError } from '../errors.ts';
import type { ClusterSpec } from '../group/model.ts';
import type { Cluster } from './cluster.ts';
import type { Context, Deadline } from './context.ts';
import { EventReader } from './events.ts';
import { complaints, missing } from './plan/health.ts';
import { renderEventLine } from './print/events.ts';

/** How often the cluster is asked, ms: short beside the seconds that anything takes, and an agent answers in a few. */
const POLL_MS = 200;

/** Returns when every member of `spec` is healthy and no other is left. Throws `timed-out` with what was missing. */
export function waitHealthy(context: Context, cluster: Cluster, spec: ClusterSpec, deadline: Deadline): Promise<StatusDocument> {
  return waitFor(context, cluster, deadline, `for cluster ${cluster.name} to be healthy`, (status) => {
    const left = missing(status, spec);
    return left.length === 0 ? { done: status } : { waiting: left };
  });
}

/** Returns when the operation has ended well. Throws `operation-failed` with its message, or `timed-out`. */
export async function waitOperation(context: Context, cluster: Cluster, group: string, id: string, deadline: Deadline): Promise<OperationResult> {
  const result = await waitFor(context, cluster, deadline, `for operation ${id} of group ${group}`, (status) => {
    const found = status.groups.find((one) => one.name === group);
    const ended = found?.results.find((one) => one.id === id);
    return ended === undefined ? { waiting: [found?.operation ?? 'it has not begun'] } : { done: ended };
  });
  if (!result.ok) throw new PgorbitError('operation-failed', result.message, { hint: 'see `pgorbit events` and `pgorbit status`' });
  return result;
}

/** Asks for the status until `look` is content; a member's error and each event is shown when it is new. */
export async function waitFor<T>(
  context: Context,
  cluster: Cluster,
  deadline: Deadline,
  what: string,
  look: (status: StatusDocument) => { done: T } | { waiting: string[] },
): Promise<T> {
  const events = await EventReader.fromNow(cluster);
  const told = new Set<string>();
  let waiting: string[] = ['no agent has answered yet'];
  for (;;) {
    try {
      const status = await cluster.call('GET /v1/status', {}, { signal: context.signal });
      for (const event of await events.next()) context.progress.note(renderEventLine(event, context.progress.style));
      for (const complaint of complaints(status)) {
        if (!told.has(complaint)) context.progress.warn(complaint);
        told.add(complaint);
      }
      const seen = look(status);
      if ('done' in seen) return seen.done;
      waiting = seen.waiting;
      context.progress.detail(waiting.join(', '));
    } catch (error) {
      // An agent that starts or restarts is asked again; what it refuses is final.
      if (!(error instanceof PgorbitError) || (error.code !== 'agent-unreachable' && error.code !== 'timed-out')) throw error;
      waiting = [error.message];
    }
    await deadline.rest(POLL_MS, () => ({
      message: `gave up after ${Math.round(deadline.limitMs / 1000)} s of waiting ${what}: ${waiting.join(', ')}`,
      hint: 'it may still happen: see `pgorbit status` and `pgorbit events`; --timeout waits longer',
    }));
  }
}
