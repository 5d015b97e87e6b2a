/** An operation of a group: asked for, then waited for. */
import type { OperateRequest } from '../group/model.ts';
import type { Cluster } from './cluster.ts';
import type { Context, Deadline } from './context.ts';
import { waitOperation } from './wait.ts';

/** Asks for the operation and returns its message when it has ended well. Throws what refused it or how it failed. */
export async function operate(context: Context, cluster: Cluster, request: OperateRequest, deadline: Deadline): Promise<string> {
  const { id } = await cluster.call('POST /v1/operate', request, { signal: context.signal });
  // A reload is carried out by each agent at once and leaves no result.
  if (request.kind === 'reload') return 'reloaded';
  const before = context.background;
  context.background = `The ${request.kind} of group ${request.group} goes on without this command: \`pgorbit status\` and \`pgorbit events -f\` show it.`;
  const { message } = await waitOperation(context, cluster, request.group, id, deadline);
  context.background = before;
  return message;
}
