/** Where a cluster archives its WAL by itself. */
import { PgorbitError } from '../../errors.ts';
import type { Cluster } from '../cluster.ts';
import type { Context } from '../context.ts';
import { chooseGroup } from '../plan/names.ts';

/** The repository that the manifest names for the group's archive; undefined where it names none. Throws `no-such-group`, `usage`. */
export async function archivedTo(context: Context, cluster: Cluster, group: string | undefined): Promise<string | undefined> {
  const { groups } = await cluster.call('GET /v1/status', {}, { signal: context.signal });
  const name = chooseGroup(groups.map((one) => one.name), group);
  return groups.find((one) => one.name === name)?.archive?.to;
}

/** Two that archive to one place would be one too many. Throws `locked`. */
export async function refuseArchived(context: Context, cluster: Cluster, group: string | undefined, to: string): Promise<void> {
  if ((await archivedTo(context, cluster, group)) !== to) return;
  throw new PgorbitError('locked', `cluster ${cluster.name} archives to ${to} by itself`, { hint: 'nothing has to be done: `pgorbit status` shows how far it is. Name another repository for a second archive' });
}
