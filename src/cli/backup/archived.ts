/** What a cluster archives by itself needs no second archiver. */
import { PgorbitError } from '../../errors.ts';
import type { Cluster } from '../cluster.ts';
import type { Context } from '../context.ts';
import { chooseGroup } from '../plan/names.ts';

/** Two that archive to one place would be one too many. Throws `locked`, `no-such-group`, `usage`. */
export async function refuseArchived(context: Context, cluster: Cluster, group: string | undefined, to: string): Promise<void> {
  const { groups } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
  const name = chooseGroup(groups.map((one) => one.name), group);
  if (groups.find((one) => one.name === name)?.archive?.to !== to) return;
  throw new PgorbitError('locked', `cluster ${cluster.name} archives to ${to} by itself`, { hint: 'nothing has to be done: `pgorbit status` shows how far it is. Name another repository for a second archive' });
}
