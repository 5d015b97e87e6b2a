/** Commands that are one operation of a group. */
import type { GroupStatus } from '../agent/api.ts';
import type { OperateRequest } from '../group/model.ts';
import { withCluster } from './cluster.ts';
import type { Context } from './context.ts';
import { operate } from './operate.ts';

/** A switchover that waits for a checkpoint of a large primary, or a rolling restart, may take minutes. */
const DEFAULT_TIMEOUT_MS = 300_000;

export interface Act {
  request: OperateRequest;
  /** What the progress line says. */
  step: string;
  /** What is to be known before it is done, or undefined. */
  warning?: string | undefined;
}

/** Chooses the operation from the groups' status, asks for it, waits, and prints how it ended. */
export async function act(context: Context, choose: (groups: GroupStatus[]) => Act, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<void> {
  await withCluster(context, async (cluster) => {
    const before = await cluster.call('GET /v1/status', {}, { signal: context.signal });
    const { request, step, warning } = choose(before.groups);
    if (warning !== undefined) context.progress.warn(warning);
    context.progress.step(step);
    const message = await operate(context, cluster, request, context.deadline(timeoutMs));
    context.progress.done();
    const status = await cluster.call('GET /v1/status', {}, { signal: context.signal });
    const group = status.groups.find((one) => one.name === request.group);
    context.out.text(`${message}.\n`);
    context.out.document({ operation: request.kind, group: request.group, message, primary: group?.primary ?? null, status });
  });
}
