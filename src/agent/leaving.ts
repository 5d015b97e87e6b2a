/** A member that becomes a cluster of its own: who may, and what is said of one that has begun to. */
import { createHmac } from 'node:crypto';
import type { ClusterView } from './documents.ts';
import { PgorbitError, type ErrorReport } from '../errors.ts';
import type { NewOwner } from '../group/member/parted.ts';
import type { MemberRecord, SecretsDocument } from '../group/model.ts';
import { sleep } from '../lifecycle.ts';

/** For so long nobody may lead a cluster before it counts as lost: its agents may be electing one, or this one may just have begun. */
const LOST_MS = 10_000;
const POLL_MS = 50;

/** Why it does nothing in its old cluster any more. */
export const leaving = (name: string, { cluster }: NewOwner): ErrorReport & { hint: string } => ({
  code: 'not-ours',
  message: `${name} has begun to become the cluster ${cluster}, and takes no part here any more`,
  hint: `run that command again, or: pgorbit remove ${name}`,
});

/**
 * The new cluster's accounts. Those who followed a replica or a primary would, when they come back, find at the old address a
 * server of their own history, with another timeline: their password is none there any more. The same again for the same owner.
 */
export function secretsAfter(secrets: SecretsDocument, role: MemberRecord['role'], { clusterId }: NewOwner): SecretsDocument {
  if (role === 'standby') return secrets;
  const { user, password } = secrets.replication;
  return { ...secrets, replication: { user, password: createHmac('sha256', password).update(clusterId).digest('base64url').slice(0, 24) } };
}

/**
 * Nobody waits for a standby. Whom an election counts on goes only where nobody is left who could hold one.
 * @param led the agents have a majority, and lead the member's group
 * @throws `usage`, `unsafe`
 */
export async function mustBeFree(view: Pick<ClusterView, 'cluster' | 'site'>, group: string, { name, role }: MemberRecord, led: () => boolean, signal: AbortSignal): Promise<void> {
  if (role === 'standby') return;
  const spec = view.cluster?.document.spec;
  if (spec?.groups[group]?.storage !== 'local') throw new PgorbitError('usage', `${name} is no standby, and its data lie on the group's volume`, { hint: '`pgorbit status`' });
  if (view.site !== null) throw new PgorbitError('unsafe', `${spec.cluster} has another site: to part with ${name} would leave that behind`, { hint: 'on the other site: pgorbit site promote --force' });
  for (const end = performance.now() + LOST_MS; performance.now() < end; await sleep(POLL_MS, signal)) {
    if (led()) throw new PgorbitError('unsafe', `the agents of ${spec.cluster} have a majority: they decide who is its primary`, { hint: `pgorbit switchover --to ${name}` });
  }
}
